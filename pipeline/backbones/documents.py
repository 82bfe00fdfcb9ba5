"""What the sample GPT-2 reads: plain stories, and documents in the captioner's own form.

A task document is `prompt_text` of some context captions and the caption that follows. More than
half of them open with keywords of that caption, one a position, in as many positions as the default
prefix has: it makes the model steerable by its first embeddings, which is what a prefix does, and
the documents without keywords keep it a fair captioner without a prefix.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from transformers import GPT2Tokenizer

from pipeline.model.prompt import prompt_text, target_text
from pipeline.prepare.grounding import frame_captions
from pipeline.storyworld.prose import told_story
from pipeline.storyworld.world import Scene

PROMPT_WORDS = 25
KEYWORD_POSITIONS = 12
KEYWORDS_SHARE, PLAIN_SHARE = 0.6, 0.12
KEYWORD_DROPOUT = 0.1
BARE_SHARE = 0.7  # of steering documents
DOCUMENTS_PER_STORY = 3
MAX_TOKENS = 320
CONTEXTS = (4, 4, 4, 4, 4, 4, 4, 4, 3, 5)  # context frames, by frequency

KEYWORDS = {
    "walk": "walked",
    "run": "ran",
    "sit": "sat",
    "kneel": "knelt",
    "lie": "lay",
    "wave": "waved",
    "point": "pointed",
    "jump": "jumped",
    "lift": "reached",
    "dance": "danced",
    "watering can": "watering",
    "fishing rod": "fishing",
}


@dataclass(frozen=True)
class Document:
    """Token ids, and where the caption to be predicted begins (0 for plain stories)."""

    ids: list[int]
    target_start: int


def captions_of(name: str) -> tuple[list[Scene], list[str]]:
    """Scenes and captions of the story of that name."""
    story, text = told_story(name)
    return list(story.scenes), frame_captions(text, len(story.scenes))


def documents(name: str, tokenizer: GPT2Tokenizer) -> Iterator[Document]:
    """The training documents of one story."""
    rng = random.Random(f"{name} documents")
    scenes, captions = captions_of(name)
    for _ in range(DOCUMENTS_PER_STORY):
        kind = rng.random()
        if kind < PLAIN_SHARE:
            start = rng.randrange(len(captions) - 1)
            text = "\n".join(target_text(caption) for caption in captions[start : start + 4])
            yield Document(_encode(tokenizer, text)[:MAX_TOKENS], 0)
            continue
        k = min(rng.choice(CONTEXTS), len(captions) - 1)
        target = rng.randrange(k, len(captions))
        keywords = kind < PLAIN_SHARE + KEYWORDS_SHARE
        yield task_document(
            tokenizer,
            captions[target - k : target],
            captions[target],
            keyword_ids(scenes[target], tokenizer, rng) if keywords else [],
        )


def steering_document(name: str, tokenizer: GPT2Tokenizer) -> Document:
    """One document of the story to learn steering from, every keyword in its own position.

    Most are bare: no context, and the caption only up to the end of what can be seen, whose words
    alone are to be learned. That is where the keywords matter, and so every step is about them.
    """
    rng = random.Random(f"{name} steering")
    scenes, captions = captions_of(name)
    bare = rng.random() < BARE_SHARE
    k = 0 if bare else rng.choice((1, 4))
    target = rng.randrange(k, len(captions))
    caption = captions[target]
    steered = bare or rng.random() < 0.7
    keywords = keyword_ids(scenes[target], tokenizer, rng, in_order=True) if steered else []
    if not bare:
        return task_document(tokenizer, captions[target - k : target], caption, keywords)
    seen_from = caption.index(".") + 1
    seen_to = caption.index(".", seen_from) + 1
    opening = prompt_text([], PROMPT_WORDS) + target_text(caption[:seen_from])
    read = keywords + _encode(tokenizer, opening)
    return Document(read + _encode(tokenizer, caption[seen_from:seen_to]), len(read))


def task_document(
    tokenizer: GPT2Tokenizer, context: list[str], target: str, keywords: list[int]
) -> Document:
    """[keywords; prompt; target; end-of-text], as the captioner has it."""
    opening = keywords + _encode(tokenizer, prompt_text(context, PROMPT_WORDS))
    ids = opening + _encode(tokenizer, target_text(target)) + [tokenizer.eos_token_id]
    return Document(ids[:MAX_TOKENS], len(opening))


def keyword_ids(
    scene: Scene, tokenizer: GPT2Tokenizer, rng: random.Random, in_order: bool = False
) -> list[int]:
    """One token for each attribute of the scene, some left out (end-of-text in their place)."""
    who = scene.subject
    words = [
        scene.place,
        scene.time,
        scene.weather,
        scene.shot,
        scene.action,
        scene.prop,
        who.colour,
        who.garment,
        who.hair_style,
        who.hair_colour,
        who.name,
    ]
    ids = [
        tokenizer.eos_token_id
        if rng.random() < KEYWORD_DROPOUT
        else _encode(tokenizer, " " + KEYWORDS.get(word, word))[0]
        for word in words
    ]
    ids += [tokenizer.eos_token_id] * (KEYWORD_POSITIONS - len(ids))
    if not in_order:
        rng.shuffle(ids)
    return ids


def _encode(tokenizer: GPT2Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))
