"""What the sample GPT-2 must show on held-out stories: does it copy the names from the context?"""

from __future__ import annotations

from statistics import fmean

import torch
from transformers import GPT2LMHeadModel, GPT2Tokenizer

from pipeline.backbones.documents import captions_of, task_document
from pipeline.storyworld.people import FEMALE_NAMES, MALE_NAMES

NAMES = frozenset(FEMALE_NAMES + MALE_NAMES)
HELD_OUT_STORIES = 200


@torch.inference_mode()
def language_figures(
    model: GPT2LMHeadModel, tokenizer: GPT2Tokenizer, stories: int = HELD_OUT_STORIES
) -> dict[str, float]:
    """How well GPT-2 writes the caption after four, on held-out stories.

    Wherever the true caption has a name, the model's most likely name is looked at, given all the
    text before and no prefix:

    - `names copied from the context`: it is a name of the context;
    - `the right one, at first mention` and `the right one, anywhere`: it is the name that stands
      there. With two or three people in the context, that takes knowing whose turn it is, which in
      part only the pictures tell;
    - `nats a token`: of the true caption, all tokens.
    """
    name_ids = {tokenizer.encode(" " + name)[0] for name in NAMES}
    candidates = torch.tensor(sorted(name_ids))
    copied, right, first = [], [], []
    nats = tokens = 0.0
    for i in range(stories):
        _, captions = captions_of(f"held-out-{i}")
        doc = task_document(tokenizer, captions[:4], captions[4], [])
        ids = torch.tensor(doc.ids)
        log_probs = model(ids[None]).logits[0, :-1].log_softmax(-1)
        in_context = name_ids.intersection(doc.ids[: doc.target_start])
        mentioned = set()
        for t in range(doc.target_start, len(ids)):
            token = doc.ids[t]
            nats -= float(log_probs[t - 1, token])
            tokens += 1
            if token in name_ids:
                likeliest = int(candidates[log_probs[t - 1, candidates].argmax()])
                copied.append(likeliest in in_context)
                right.append(likeliest == token)
                if token not in mentioned:
                    first.append(likeliest == token)
                mentioned.add(token)
    return {
        "names copied from the context": fmean(copied),
        "the right one, at first mention": fmean(first),
        "the right one, anywhere": fmean(right),
        "nats a token, prompt alone": nats / tokens,
    }
