"""Places in a ranking: by hand, against sorting, and what cannot be told apart."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.evaluation import ranks as module
from pipeline.evaluation.ranks import ROUNDING, ranks


def own(count: int) -> np.ndarray:
    return np.arange(count)


def test_places_by_hand() -> None:
    candidates = np.eye(3)
    queries = np.array([[0.9, 0.1, 0.0], [0.0, 0.2, 0.9], [0.3, 0.4, 0.2]])
    assert ranks(queries, candidates, own(3), own(3)).tolist() == [1, 2, 3]


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_equal_to_sorting(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    queries, candidates = random.normal(size=(2, count, 8))
    unit = candidates / np.linalg.norm(candidates, axis=1, keepdims=True)
    cosines = queries @ unit.T / np.linalg.norm(queries, axis=1, keepdims=True)
    to_own = np.abs(cosines - cosines.diagonal()[:, None])[~np.eye(count, dtype=bool)]
    assume(to_own.min(initial=1.0) > 10 * ROUNDING)  # nearer ones count as equal, which is no order
    order = np.argsort(-cosines, axis=1)
    expected = [1 + int(np.flatnonzero(order[i] == i)[0]) for i in range(count)]
    assert ranks(queries, candidates, own(count), own(count)).tolist() == expected


def test_the_same_answer_for_everything_finds_one() -> None:
    candidates = np.random.default_rng(0).normal(size=(50, 8))
    found = ranks(np.repeat(candidates[:1], 50, axis=0), candidates, own(50), own(50))
    assert sorted(found) == list(range(1, 51))


def test_equal_content_is_equally_right() -> None:
    candidates = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert ranks(candidates, candidates, own(3), np.array([7, 7, 8])).tolist() == [1, 1, 1]


def test_what_cannot_tell_candidates_apart_has_not_found_its_own() -> None:
    """Other content with the same embedding counts as nearer; an empty caption comes last."""
    candidates = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert ranks(candidates, candidates, own(3), own(3)).tolist() == [2, 2, 1]
    assert ranks(np.zeros((3, 2)), candidates, own(3), own(3)).tolist() == [3, 3, 3]


def test_good_predictions_beat_bad_ones() -> None:
    random = np.random.default_rng(1)
    targets = random.normal(size=(100, 32))
    near = ranks(targets + random.normal(size=(100, 32)) * 0.1, targets, own(100), own(100))
    far = ranks(targets + random.normal(size=(100, 32)) * 5.0, targets, own(100), own(100))
    assert (near == 1).all()
    assert (far == 1).mean() < 0.5
    assert np.median(near) < np.median(far)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    queries, candidates = random.normal(size=(2, 30, 8))
    whole = ranks(queries, candidates, own(30), own(30))
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", 60)
    assert np.array_equal(ranks(queries, candidates, own(30), own(30)), whole)


def test_nothing() -> None:
    assert ranks(np.zeros((0, 4)), np.eye(4), own(0), own(4)).tolist() == []
