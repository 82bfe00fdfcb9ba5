"""Diversity by hand, and self-BLEU against one sacrebleu call per caption."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from pipeline.captioning.ngrams import distinct_ngrams
from pipeline.evaluation.overlap import self_bleu
from pipeline.evaluation.scores import text_hash

VARIED = ["a lamp stands here", "she runs over the bridge", "two men wait in the rain"]
MONOTONOUS = ["she waits by the door", "she waits by the gate", "he waits by the door"]


def split(texts: list[str]) -> list[list[str]]:
    return [text.split() for text in texts]


def test_distinct_by_hand() -> None:
    assert distinct_ngrams(split(["a b a", "a b"]), 1) == 2 / 5
    assert distinct_ngrams(split(["a b a", "a b"]), 2) == 2 / 3
    assert distinct_ngrams([[], ["a"]], 2) == 0.0


def test_varied_captions_beat_monotonous_ones() -> None:
    for n in (1, 2):
        assert distinct_ngrams(split(VARIED), n) > distinct_ngrams(split(MONOTONOUS), n)
    assert self_bleu(split(VARIED)).mean() < self_bleu(split(MONOTONOUS)).mean()


def test_repeated_captions_are_all_of_it() -> None:
    assert self_bleu(split(["a b c d e"] * 3)) == pytest.approx([100.0] * 3)


def test_nothing_to_compare_with() -> None:
    assert self_bleu([["a", "b"]]).tolist() == [0.0]
    assert self_bleu([]).tolist() == []


captions = st.lists(
    st.lists(st.sampled_from("a b c d".split()), max_size=9), min_size=2, max_size=6
)


@given(captions)
def test_equal_to_a_call_of_sacrebleu_for_every_caption(texts: list[list[str]]) -> None:
    theirs = []
    for i, caption in enumerate(texts):
        others = [" ".join(text) for j, text in enumerate(texts) if j != i]
        score = BLEU(tokenize="none").corpus_score([" ".join(caption)], [[o] for o in others])
        theirs.append(score.score)
    assert self_bleu(texts) == pytest.approx(theirs, abs=1e-6)


def test_equal_texts_have_equal_hashes() -> None:
    first, second, third = text_hash(["a lamp", "a Lamp", "a lamp"])
    assert first == third != second
