"""Intervals against plain resampling, against SciPy, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.evaluation.bootstrap import intervals, point
from pipeline.evaluation.figures import Measure, difference, lift_of, mean_of, median_of, ratio_of

random = np.random.default_rng(0)
VALUES = random.normal(0.5, 0.2, size=60)


def test_points_by_hand() -> None:
    assert point(mean_of(np.array([1.0, 2.0, 6.0])), 3) == 3.0
    assert point(ratio_of(np.array([1.0, 5.0]), np.array([2, 10])), 2) == 0.5
    assert point(median_of(np.array([9, 1, 5])), 3) == 5.0
    assert point(median_of(np.array([4, 1, 2, 3])), 4) == 2.0, "the smaller one of the middle two"
    scores, floor, ceiling = np.array([0.6, 0.8]), np.array([0.0, 0.2]), np.array([0.8, 1.0])
    assert point(lift_of(scores, floor, ceiling), 2) == pytest.approx(0.75)


def test_no_lift_where_the_references_cannot_tell_right_from_wrong() -> None:
    same = np.array([0.3, 0.4])
    assert point(lift_of(same, same, same), 2) is None
    assert point(lift_of(same, same, same - 0.1), 2) is None
    assert intervals({"lift": lift_of(same, same, same)}, 2, seed=0) == {}


def test_a_draw_without_a_lift_leaves_no_interval() -> None:
    """In a quarter of the draws, both stories are the one whose references are upside down."""
    lift = lift_of(np.array([0.5, 0.5]), np.array([0.0, 0.4]), np.array([1.0, 0.3]))
    found = intervals({"lift": lift}, 2, seed=0)["lift"]
    assert found.value == pytest.approx(0.6 / 0.9)
    assert found.low is None and found.high is None


def test_the_interval_of_a_mean_is_that_of_scipy() -> None:
    found = intervals({"mean": mean_of(VALUES)}, len(VALUES), seed=3)["mean"]
    theirs = stats.bootstrap(
        (VALUES,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    assert found.value == pytest.approx(VALUES.mean())
    assert found.low == pytest.approx(theirs.low, abs=0.002)
    assert found.high == pytest.approx(theirs.high, abs=0.002)


def test_figures_on_weights_are_those_of_the_drawn_stories() -> None:
    """A story drawn twice counts as two: against the same figures of the drawn list itself."""
    n = 15
    above, below = random.normal(size=n), random.integers(5, 20, size=n)
    floor, ceiling = random.normal(0, 0.1, size=n), random.normal(1, 0.1, size=n)
    drawn = random.integers(n, size=(40, n))
    weights = np.stack([np.bincount(row, minlength=n) for row in drawn]).astype(float)
    ratio, middle = ratio_of(above, below)(weights), median_of(above)(weights)
    lift = lift_of(above, floor, ceiling)(weights)
    for i, row in enumerate(drawn):
        assert ratio[i] == pytest.approx(above[row].sum() / below[row].sum())
        assert middle[i] == np.median(above[row]), "an odd number of stories has one middle"
        span = ceiling[row].mean() - floor[row].mean()
        assert lift[i] == pytest.approx((above[row].mean() - floor[row].mean()) / span)


def test_a_paired_difference_is_narrower_than_either() -> None:
    """Stories differ more than the two runs do: that is what pairing is for."""
    a, b = VALUES, VALUES + random.normal(0.02, 0.01, size=len(VALUES))
    figures = {"a": mean_of(a), "b": mean_of(b), "b-a": difference(mean_of(b), mean_of(a))}
    found = intervals(figures, len(a), seed=0)
    assert found["b-a"].low > 0
    assert found["b"].low < found["a"].high
    assert found["b-a"].value == pytest.approx(found["b"].value - found["a"].value)


def test_the_level_is_kept() -> None:
    """Of many samples of 40 from a known distribution, about 95 % of intervals hold its mean."""
    draws = np.random.default_rng(1).normal(1.0, 0.5, size=(200, 40))
    held = 0
    for i, sample in enumerate(draws):
        found = intervals({"mean": mean_of(sample)}, 40, seed=i, draws=500)["mean"]
        held += found.low <= 1.0 <= found.high
    assert 0.90 <= held / 200 <= 0.98


@given(st.integers(0, 2**32 - 1))
def test_a_seed_gives_the_same_interval_again(seed: int) -> None:
    figures = {"mean": mean_of(VALUES)}
    first = intervals(figures, len(VALUES), seed, draws=50)
    assert first == intervals(figures, len(VALUES), seed, draws=50)


def test_draws_come_in_blocks_and_there_are_as_many_as_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The size of a block bounds the memory; every draw is still taken."""
    from pipeline.evaluation import bootstrap

    seen: list[int] = []

    def counted(weights: np.ndarray) -> np.ndarray:
        seen.append(len(weights))
        assert (weights.sum(axis=1) == 60).all()
        return weights[:, 0]

    monkeypatch.setattr(bootstrap, "BLOCK_ELEMENTS", 60 * 7)
    intervals({"x": counted}, 60, seed=0, draws=100)
    assert max(seen) == 7
    assert sum(seen) == 101, "one is the figure itself"


def test_one_story_has_no_interval() -> None:
    assert intervals({"mean": mean_of(np.array([0.4]))}, 1, seed=0)["mean"] == Measure(0.4)
