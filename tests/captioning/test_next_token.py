"""The choice of the next token, against slow and obvious versions of the same rules."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pipeline.captioning.next_token import (
    ban_repeated_ngrams,
    nucleus_tokens,
    penalise_repetition,
)

rows_of_tokens = st.lists(st.integers(0, 4), min_size=0, max_size=9)


def plainly_banned(written: list[int], size: int) -> set[int]:
    """Every token that would end an n-gram seen before."""
    opening = written[len(written) - size + 1 :] if size > 1 else []
    return {
        written[i + size - 1]
        for i in range(len(written) - size + 1)
        if written[i : i + size - 1] == opening
    }


@given(rows_of_tokens, st.integers(1, 4))
def test_bans_exactly_what_would_repeat_an_ngram(written: list[int], size: int) -> None:
    scores = torch.zeros(1, 5)
    banned = ban_repeated_ngrams(scores, torch.tensor([written], dtype=torch.int64), size)
    assert {i for i in range(5) if banned[0, i] == -math.inf} == plainly_banned(written, size)
    assert torch.equal(scores, torch.zeros(1, 5)), "the argument is left alone"


def test_no_ban_when_switched_off() -> None:
    scores = torch.randn(2, 5)
    assert torch.equal(ban_repeated_ngrams(scores, torch.zeros(2, 6, dtype=torch.int64), 0), scores)


def test_bans_and_penalties_match_transformers() -> None:
    """Same numbers as the processors of `generate`, which see the same generated tokens."""
    from transformers import NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor

    random = torch.Generator().manual_seed(0)
    written = torch.randint(0, 6, (8, 20), generator=random)
    scores = torch.randn(8, 6, generator=random)
    theirs: Tensor = RepetitionPenaltyLogitsProcessor(1.3)(written, scores.clone())  # type: ignore[no-untyped-call]
    ours = penalise_repetition(scores, written, 1.3)
    assert torch.equal(ours, theirs)
    theirs = NoRepeatNGramLogitsProcessor(3)(written, theirs)  # type: ignore[no-untyped-call]
    assert torch.equal(ban_repeated_ngrams(ours, written, 3), theirs)


def test_penalty_by_hand() -> None:
    scores = torch.tensor([[2.0, -2.0, 3.0]])
    out = penalise_repetition(scores, torch.tensor([[0, 1, 0]]), 2.0)
    assert out.tolist() == [[1.0, -4.0, 3.0]]


@pytest.mark.parametrize(
    ("draw", "top_p", "token"),
    [
        (0.0, 1.0, 2),
        (0.49, 1.0, 2),
        (0.51, 1.0, 0),
        (0.81, 1.0, 1),
        (0.999, 1.0, 1),
        (0.999, 0.5, 2),  # token 2 alone reaches half
        (0.62, 0.6, 2),  # 0.5 of the 0.8 that tokens 2 and 0 share: up to 0.625
        (0.63, 0.6, 0),
    ],
)
def test_nucleus_by_hand(draw: float, top_p: float, token: int) -> None:
    """Probabilities 0.3, 0.2, 0.5; most likely first they reach 0.5, 0.8 and 1."""
    scores = torch.log(torch.tensor([[0.3, 0.2, 0.5]]))
    assert nucleus_tokens(scores, torch.tensor([draw]), 1.0, top_p).tolist() == [token]


def test_nucleus_draws_follow_the_distribution() -> None:
    scores = torch.log(torch.tensor([0.1, 0.6, 0.3])).expand(20_000, 3)
    draws = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(nucleus_tokens(scores, draws, 1.0, 0.9), minlength=3) / 20_000
    assert torch.allclose(counts, torch.tensor([0.0, 2 / 3, 1 / 3]), atol=0.02)


def test_low_temperature_is_greedy() -> None:
    scores = torch.randn(50, 30, generator=torch.Generator().manual_seed(1))
    draws = torch.rand(50, generator=torch.Generator().manual_seed(2))
    assert torch.equal(nucleus_tokens(scores, draws, 1e-4, 1.0), scores.argmax(dim=-1))


def test_scores_that_are_not_numbers_still_give_a_token() -> None:
    tokens = nucleus_tokens(torch.full((1, 4), math.nan), torch.tensor([0.5]), 1.0, 0.9)
    assert 0 <= int(tokens) < 4
