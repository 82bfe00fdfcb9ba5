"""Retrieval of the target image, and the pools it is asked in."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.retrieval import hits_at_1, pools


@given(st.integers(0, 1000), st.integers(1, 120))
def test_pools_cover_everything_in_near_equal_runs(count: int, at_most: int) -> None:
    cut = list(pools(count, at_most))
    assert [i for start, stop in cut for i in range(start, stop)] == list(range(count))
    sizes = [stop - start for start, stop in cut]
    if sizes:
        assert max(sizes) <= at_most
        assert max(sizes) - min(sizes) <= 1
        assert len(sizes) == -(-count // at_most)


def test_hits_by_hand() -> None:
    targets = np.eye(3)
    queries = np.array([[0.9, 0.1, 0.0], [0.0, 0.2, 0.9], [0.0, 0.4, 0.8]])
    assert hits_at_1(queries, targets) == 2, "the second one finds the third target"


def test_the_same_answer_for_everything_finds_one() -> None:
    random = np.random.default_rng(0)
    targets = random.normal(size=(50, 8))
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    assert hits_at_1(np.repeat(targets[:1], 50, axis=0), targets) == 1


def test_equal_targets_are_equally_right() -> None:
    targets = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert hits_at_1(targets, targets) == 3


def test_good_predictions_beat_bad_ones() -> None:
    random = np.random.default_rng(1)
    targets = random.normal(size=(100, 32))
    near = targets + random.normal(size=targets.shape) * 0.1
    far = targets + random.normal(size=targets.shape) * 5.0
    assert hits_at_1(near, targets) == 100
    assert hits_at_1(far, targets) < 50
