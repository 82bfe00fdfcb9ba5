"""Captions for the frame that comes next, for any number of stories.

Stories are sorted by the length of their prompt before they are cut into batches, so that padding
is small, and come back in their own order. The result for a story does not depend on the others.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.captioning.decoding import Decoded, decode_batch, pad_left
from pipeline.common.errors import UserError
from pipeline.dataset.story_dataset import Contexts
from pipeline.model.generator import StoryGenerator
from pipeline.model.language_model import position_limit
from pipeline.model.prompt import PromptBuilder

if TYPE_CHECKING:
    from pipeline.params import GenerateParams


@dataclass(frozen=True)
class Caption(Decoded):
    """One generated caption: what was written, and what it says."""

    text: str
    """White space folded, end-of-text removed; empty if only white space was written."""


def story_seed(seed: int, story_id: str) -> int:
    """The seed of one story's samples: from the run's seed and the story, and nothing else."""
    digest = hashlib.sha256(f"{seed}/{story_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def story_seeds(
    seed: int, story_ids: Sequence[str], per_story: int, occasion: str = ""
) -> list[int]:
    """Seeds of `per_story` samples of each story, story by story; other ones at each occasion."""
    numbers = [f"{occasion}/{i}" if occasion else str(i) for i in range(per_story)]
    return [story_seed(seed, f"{story}/{number}") for story in story_ids for number in numbers]


@torch.inference_mode()
def generate_captions(
    generator: StoryGenerator,
    prompts: PromptBuilder,
    contexts: Contexts,
    params: "GenerateParams",
    seeds: Sequence[int | None],
    use_prefix: bool = True,
    progress: Callable[[int], object] | None = None,
    copies: int = 1,
) -> list[Caption]:
    """Write captions of the next frame for each of N contexts.

    Args:
        generator: in eval mode.
        params: strategy and limits. Penalties apply to generated tokens only, not to the prompt.
            `samples` and `choose` are not looked at: see `choose.py`.
        seeds: one per caption, for the nucleus; see `story_seed`. None takes the likeliest token
            each time, as greedy does, which does not look at seeds.
        use_prefix: False leaves the decoder with its prompt alone, as a reference.
        progress: called after every batch with the number of captions it made.
        copies: captions of each context, whose prefix and prompt are read once.

    Returns:
        N * copies captions, context by context.

    Raises:
        UserError: if a prompt leaves no room for a single token in the decoder's positions.
        ValueError: if there are not as many seeds as captions.
    """
    count = len(contexts)
    if count * copies != len(seeds):
        raise ValueError(f"{count} contexts with {len(seeds)} seeds for {copies} captions of each")
    if not use_prefix:
        params = params.model_copy(update={"guidance": 1.0})  # there is nothing to guide it
    decoder = generator.decoder
    device = decoder.word_scale.device
    prompt_ids = [prompts.prompt_ids(captions) for captions in contexts.captions]
    in_front = len(decoder.opening) + (generator.config.prefix_tokens if use_prefix else 0)
    positions = position_limit(decoder.lm.config)
    longest_first = sorted(range(count), key=lambda i: -len(prompt_ids[i]))
    at_a_time = max(1, params.batch_size // copies)
    results: dict[int, list[Caption]] = {}
    for start in range(0, count, at_a_time):
        batch = longest_first[start : start + at_a_time]
        ids = [torch.tensor(prompt_ids[i], device=device) for i in batch]
        prefixes = [None] * len(batch)
        if use_prefix:
            encoded = generator.encode(
                torch.from_numpy(contexts.images[batch]).to(device),
                torch.from_numpy(contexts.texts[batch]).to(device),
            )
            prefixes = encoded.prefix.split(1)
        rows = [  # [opening + P + S_i, H] each
            decoder.embed(prefix, row[None])[0] for prefix, row in zip(prefixes, ids, strict=True)
        ]
        if params.guidance != 1:
            rows += [decoder.embed(None, row[None])[0] for row in ids]
        limits = [_limit(in_front + len(row), positions, params.max_new_tokens) for row in ids]
        captions = [i * copies + copy for i in batch for copy in range(copies)]
        draws = None
        if params.strategy == "nucleus":
            draws = torch.stack([_draws(seeds[i], params.max_new_tokens) for i in captions])
            draws = draws.to(device)
        embeddings, mask = pad_left(rows)
        decoded = decode_batch(
            decoder.lm,
            embeddings,
            mask,
            torch.tensor(limits, device=device).repeat_interleave(copies),
            params,
            prompts.eos_id,
            draws,
            decoder.cached,
            copies,
        )
        written = [Caption(**vars(row), text=prompts.decode(row.tokens)) for row in decoded]
        for place, i in enumerate(batch):
            results[i] = written[place * copies : (place + 1) * copies]
        if progress is not None:
            progress(len(written))
    return [caption for i in range(count) for caption in results[i]]


def _limit(sequence: int, positions: int | None, max_new_tokens: int) -> int:
    """How many tokens may follow `sequence` embeddings."""
    # The last token that is written is never read again, hence needs no position.
    room = max_new_tokens if positions is None else positions - sequence + 1
    if room < 1:
        raise UserError(
            f"prefix and prompt take {sequence} positions but decoder.model has {positions}: "
            "lower prompt.max_sequence_tokens, prompt.words_per_caption or context.k"
        )
    return min(room, max_new_tokens)


def _draws(seed: int | None, count: int) -> torch.Tensor:
    """Uniform numbers in [0, 1), float [count], one per token; made on the CPU for every device.

    Zeros without a seed: the nucleus begins with the likeliest token.
    """
    if seed is None:
        return torch.zeros(count)
    random = torch.Generator().manual_seed(seed % 2**63)
    return torch.rand(count, generator=random)
