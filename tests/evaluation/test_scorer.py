"""Embedding captions for scoring."""

from typing import Any

import numpy as np

from pipeline.evaluation.scorer import CaptionScorer


def test_equal_captions_score_as_the_store_has_them(world: Any) -> None:
    captions = world.frames.column("caption").to_pylist()[:9]
    keys = world.frames.column("caption_key").to_pylist()[:9]
    embedded = CaptionScorer(world.clip, "").embed(captions)
    assert np.abs(embedded - world.texts.lookup(keys)).max() < 2e-3
    assert (embedded == embedded.astype(np.float16)).all()


def test_an_empty_caption_has_no_direction(world: Any) -> None:
    embedded = CaptionScorer(world.clip, "A photo depicts").embed(["", "a lamp", " "])
    assert not embedded[0].any()
    assert not embedded[2].any()
    assert np.linalg.norm(embedded[1]) > 0.99


def test_the_prefix_stands_before_the_caption(world: Any) -> None:
    with_prefix = CaptionScorer(world.clip, " A photo depicts ").embed(["a lamp"])
    plain = CaptionScorer(world.clip, "").embed(["A photo depicts a lamp"])
    assert np.array_equal(with_prefix, plain)
    assert not CaptionScorer(world.clip, "x").reads_store
    assert CaptionScorer(world.clip, "  ").reads_store


def test_nothing(world: Any) -> None:
    assert CaptionScorer(world.clip, "").embed([]).shape == (0, world.clip.dim)
