"""The reference rows and the shuffling behind two of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.references import derangement, reference_frames


@given(st.integers(2, 300), st.integers(0, 2**32))
def test_a_derangement_moves_everything_once_and_repeats_itself(count: int, seed: int) -> None:
    order = derangement(count, seed)
    assert sorted(order) == list(range(count))
    assert not (order == np.arange(count)).any()
    assert np.array_equal(order, derangement(count, seed))


def test_seeds_differ() -> None:
    assert not np.array_equal(derangement(50, 0), derangement(50, 1))


def test_every_cycle_of_three_is_drawn() -> None:
    drawn = {tuple(derangement(3, seed).tolist()) for seed in range(50)}
    assert drawn == {(1, 2, 0), (2, 0, 1)}


def test_nothing_and_one() -> None:
    assert len(derangement(0, 0)) == 0
    with pytest.raises(ValueError, match="one item"):
        derangement(1, 0)


def test_frames_of_each_row_by_hand() -> None:
    context = np.array([[0, 1], [10, 11], [20, 21]])
    target = np.array([2, 12, 22])
    frames = reference_frames(context, target, others_target=target[[1, 2, 0]])
    assert {name: rows.tolist() for name, rows in frames.items()} == {
        "ground_truth": [2, 12, 22],
        "shuffled": [12, 22, 2],
        "copy_last": [1, 11, 21],
    }
    assert "shuffled" not in reference_frames(context, target, others_target=None)
