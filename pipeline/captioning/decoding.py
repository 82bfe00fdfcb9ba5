"""Autoregressive decoding of a batch from embeddings.

Equal to decoding each row alone without a cache, which is what happens where a decoder has none
that can be relied on (`steps.py`). Rows that have ended leave the batch as soon as enough of them
have, so the slowest caption does not keep the others computing.

Penalties and n-gram bans (`GenerateParams`) look at generated tokens only, never at the prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.captioning.next_token import (
    ban_repeated_ngrams,
    guide,
    nucleus_tokens,
    penalise_repetition,
)
from pipeline.model.steps import CachedSteps, PlainSteps

if TYPE_CHECKING:
    from pipeline.params import GenerateParams

WORTH_SHRINKING = 0.75
"""Ended rows leave when at most this share of the batch goes on; leaving copies the cache."""


@dataclass(frozen=True)
class Decoded:
    """What one row wrote."""

    tokens: list[int]
    """Token ids, a closing end-of-text included."""
    finished: bool
    """Whether the last token is end-of-text."""
    logprobs: list[float] = field(compare=False)
    """Natural logarithm of each token's probability under the model as it is: at temperature 1,
    over the whole vocabulary, before penalties. Its last digits depend on the batch, so it does
    not count in comparisons."""


def pad_left(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack embeddings of different lengths, flush right.

    Args:
        rows: float [T_i, H] each.

    Returns:
        float [B, T, H] with zeros in front, and its mask, int64 [B, T], 1 where a row has begun.
    """
    length = max(len(row) for row in rows)
    embeddings = rows[0].new_zeros(len(rows), length, rows[0].shape[-1])
    mask = torch.zeros(len(rows), length, dtype=torch.int64, device=rows[0].device)
    for i, row in enumerate(rows):
        embeddings[i, length - len(row) :] = row
        mask[i, length - len(row) :] = 1
    return embeddings, mask


@torch.inference_mode()
def decode_batch(
    lm: Any,
    embeddings: Tensor,
    mask: Tensor,
    limits: Tensor,
    params: "GenerateParams",
    eos_id: int,
    draws: Tensor | None = None,
    cached: bool = True,
    copies: int = 1,
) -> list[Decoded]:
    """Continue each row until end-of-text or its limit.

    End-of-text is not allowed as the very first token: an empty caption says nothing.

    Args:
        lm: a Hugging Face causal LM in eval mode that takes `inputs_embeds`.
        embeddings: float [R, T, H], padded on the left. mask: int64 [R, T]. R rows, and where
            `params.guidance` is not 1 the same rows once more without what guides them.
        limits: the most tokens each row may write, end-of-text included, int64 [B], 1 or more.
        draws: uniform numbers in [0, 1) for the nucleus, float [B, at least max(limits)].
        cached: whether `lm` can be read by its cache; see `pipeline/model/check.py`.
        copies: how often each row is continued; what stands before is read once. B is R * copies.

    Returns:
        one `Decoded` for each of the B, a row's copies one after the other.
    """
    batch, most = len(limits), int(limits.max())
    device = embeddings.device
    steps: CachedSteps | PlainSteps = (
        CachedSteps(lm, embeddings, mask, most) if cached else PlainSteps(lm, embeddings, mask)
    )
    guided = params.guidance != 1
    readings = 2 if guided else 1
    written = torch.full((batch, most), eos_id, dtype=torch.int64, device=device)
    rows = torch.arange(batch, device=device)  # which row of the whole batch each live one is
    said = torch.zeros(batch, most, device=device)  # log-probability of what was written
    results, results_said = written.clone(), said.clone()
    lengths = limits.clone()
    finished = torch.zeros(batch, dtype=torch.bool, device=device)
    live = torch.ones(batch, dtype=torch.bool, device=device)
    tokens: Tensor | None = None
    for step in range(most):
        logits = steps.logits(None if tokens is None else tokens.repeat(readings))
        if step == 0 and copies > 1:
            every = torch.arange(len(logits), device=device).repeat_interleave(copies)
            steps.keep(every)
            logits = logits[every]
        scores = logits  # [B, V]
        if guided:
            logits, alone = logits.chunk(2)
            scores = guide(logits, alone, params.guidance)
        if step == 0:
            scores = scores.index_fill(1, torch.tensor([eos_id], device=device), -torch.inf)
        tokens = _next_tokens(
            scores, written[:, :step], params, None if draws is None else draws[:, step]
        )
        written[:, step] = tokens
        said[:, step] = -F.cross_entropy(logits, tokens, reduction="none")

        at_end = live & (tokens == eos_id)
        over = live & (at_end | (limits == step + 1))
        if over.any():
            results[rows[over]] = written[over]
            results_said[rows[over]] = said[over]
            finished[rows[at_end]] = True
            lengths[rows[at_end]] = step + 1
            live &= ~over
            left = int(live.sum())
            if left == 0:
                break
            if left <= WORTH_SHRINKING * len(live):
                keep = live.nonzero().squeeze(1)
                steps.keep(torch.cat([keep + i * len(live) for i in range(readings)]))
                written, said = written[keep], said[keep]
                rows, limits, live, tokens = rows[keep], limits[keep], live[keep], tokens[keep]
                draws = None if draws is None else draws[keep]
    return [
        Decoded(ids[:length], ended, logprobs[:length])
        for ids, logprobs, length, ended in zip(
            results.tolist(),
            results_said.tolist(),
            lengths.tolist(),
            finished.tolist(),
            strict=True,
        )
    ]


def _next_tokens(
    scores: Tensor, written: Tensor, params: "GenerateParams", draws: Tensor | None
) -> Tensor:
    """int64 [B] from scores [B, V], the tokens written so far [B, t] and numbers [B]."""
    scores = penalise_repetition(scores, written, params.repetition_penalty)
    scores = ban_repeated_ngrams(scores, written, params.no_repeat_ngram_size)
    if draws is None:
        return scores.argmax(dim=-1)
    return nucleus_tokens(scores, draws, params.temperature, params.top_p)
