"""Embedding captions for scoring."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.scorer import CaptionScorer, sentences


def test_equal_captions_score_as_the_store_has_them(setting: Any) -> None:
    captions = setting.frames.column("caption").to_pylist()[:9]
    keys = setting.frames.column("caption_key").to_pylist()[:9]
    vectors = CaptionScorer(setting.clip, "").embed(captions).of(captions)
    assert np.abs(vectors - setting.texts.lookup(keys)).max() < 2e-3
    assert (vectors == vectors.astype(np.float16)).all()


def test_vectors_come_in_any_order_and_as_often_as_asked(setting: Any) -> None:
    scorer = CaptionScorer(setting.clip, "")
    vectors = scorer.embed(["a lamp", "a key", "a lamp"])
    found = vectors.of(["a key", "a lamp", "a key"])
    assert np.array_equal(found[0], found[2])
    assert np.array_equal(found[1:2], scorer.embed(["a lamp"]).of(["a lamp"]))
    assert not np.array_equal(found[0], found[1])


def test_an_empty_caption_has_no_direction(setting: Any) -> None:
    vectors = CaptionScorer(setting.clip, "A photo depicts").embed(["", "a lamp", " "])
    found = vectors.of(["", "a lamp", " "])
    assert not found[0].any()
    assert not found[2].any()
    assert np.linalg.norm(found[1]) > 0.99


def test_the_prefix_stands_before_the_caption(setting: Any) -> None:
    with_prefix = CaptionScorer(setting.clip, " A photo depicts ").embed(["a lamp"])
    plain = CaptionScorer(setting.clip, "").embed(["A photo depicts a lamp"])
    assert np.array_equal(with_prefix.of(["a lamp"]), plain.of(["A photo depicts a lamp"]))


def test_nothing(setting: Any) -> None:
    assert CaptionScorer(setting.clip, "").embed([]).of([]).shape == (0, setting.clip.dim)


def test_nothing_is_embedded_twice(setting: Any, tmp_path: Path) -> None:
    texts = ["a lamp", "a key"]
    first = CaptionScorer(setting.clip, "").embed(texts).of(texts)
    encoded: list[int] = []
    again = CaptionScorer(setting.clip, "").embed([*texts, "a red box"], encoded.append)
    assert sum(encoded) == 1, "the box alone"
    assert np.array_equal(again.of(texts), first)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('"Go." He went.', ['"Go.', "He went."]),
        ("No end", ["No end"]),
        ("At 2.5 m... he stopped.", ["At 2.5 m...", "he stopped."]),
        ("", []),
        ("  \n", []),
    ],
)
def test_sentences_by_hand(caption: str, expected: list[str]) -> None:
    assert sentences(caption) == expected


@given(st.text(alphabet="ab .!?\"'\n", max_size=40))
def test_sentences_lose_no_letter(caption: str) -> None:
    def letters(text: str) -> str:
        return "".join(c for c in text if c in "ab.!?")

    assert letters("".join(sentences(caption))) == letters(caption)
