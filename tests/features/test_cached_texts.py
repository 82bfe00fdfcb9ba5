"""Texts are embedded once, whoever asks."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.clip.frozen import FrozenClip
from pipeline.features.embed import CachedTexts
from pipeline.features.jobs import TextJob

TEXTS = [f"Mara opens door number {i} and looks into the hall." for i in range(9)]


def clip(folder: Path) -> FrozenClip:
    return FrozenClip.load(str(folder), precision="float32", batch_size=2)


def test_the_same_vectors_from_encoder_and_cache(tiny_clip: Path) -> None:
    encoded: list[int] = []
    first = CachedTexts(clip(tiny_clip)).embed(TEXTS, encoded.append)
    assert sum(encoded) == len(TEXTS)
    assert np.abs(first - clip(tiny_clip).encode_texts(TEXTS)).max() < 1e-3
    again = CachedTexts(clip(tiny_clip)).embed(TEXTS[::-1], encoded.append)
    assert sum(encoded) == len(TEXTS), "nothing more was encoded"
    assert np.array_equal(again, first[::-1])


def test_what_is_missing_alone_is_encoded_and_kept_in_parts(
    tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = CachedTexts(clip(tiny_clip))
    texts.embed(TEXTS[:3])
    encoded: list[int] = []
    monkeypatch.setattr(TextJob, "chunk_batches", 2)
    found = texts.embed(TEXTS, encoded.append)
    assert sum(encoded) == 6
    assert np.array_equal(found[:3], texts.embed(TEXTS[:3]))
    assert len(list(texts._cache.folder.glob("*.h5"))) == 1 + 2, "three, then four and two"


def test_no_texts(tiny_clip: Path) -> None:
    assert CachedTexts(clip(tiny_clip)).embed([]).shape == (0, 24)
