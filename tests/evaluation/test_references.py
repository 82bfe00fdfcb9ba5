"""The reference rows and the shuffling behind two of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.references import derangement, other_members, reference_frames


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


@given(st.lists(st.tuples(st.integers(2, 9), st.integers(0, 8)), max_size=20), st.integers(0, 99))
def test_another_member_is_one_of_the_others(groups: list[tuple[int, int]], seed: int) -> None:
    size = np.array([n for n, _ in groups], np.int64)
    excluded = np.array([place % n for n, place in groups], np.int64)
    other = other_members(size, excluded, seed)
    assert ((other >= 0) & (other < size) & (other != excluded)).all()
    assert np.array_equal(other, other_members(size, excluded, seed))


def test_every_other_member_is_drawn() -> None:
    drawn = other_members(np.full(200, 4), np.full(200, 1), seed=0)
    assert set(drawn.tolist()) == {0, 2, 3}


def test_frames_of_each_row_by_hand() -> None:
    context = np.array([[0, 1], [10, 11], [20, 21]])
    target, same_story = np.array([2, 12, 22]), np.array([3, 10, 25])
    frames = reference_frames(context, target, same_story, others_target=target[[1, 2, 0]])
    assert {name: rows.tolist() for name, rows in frames.items()} == {
        "ground_truth": [2, 12, 22],
        "same_story": [3, 10, 25],
        "shuffled": [12, 22, 2],
        "copy_last": [1, 11, 21],
        "copy_before_last": [0, 10, 20],
    }
    assert "shuffled" not in reference_frames(context, target, same_story, others_target=None)
    alone = reference_frames(context[:, :1], target, same_story, others_target=None)
    assert "copy_before_last" not in alone
