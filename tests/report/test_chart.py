"""Axes with round ticks, and lines where their numbers belong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.figures import Measure
from pipeline.report.chart import MARGIN, Axis, row_chart, run_chart


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.02, 0.8], [0.0, 0.2, 0.4, 0.6, 0.8]),
        ([-0.03, 0.81], [-0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([0.355, 0.613], [0.0, 0.2, 0.4, 0.6, 0.8]),
        ([0.70, 0.74], [0.7, 0.71, 0.72, 0.73, 0.74]),
        ([12.0, 47.0], [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]),
    ],
)
def test_ticks_are_round_and_hold_all_values(values: list[float], ticks: list[float]) -> None:
    assert Axis.over(values).ticks == pytest.approx(ticks)


@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=9))
def test_any_values_have_an_axis(values: list[float]) -> None:
    axis = Axis.over(values)
    places = [axis.at(value) for value in values]
    assert all(MARGIN <= place <= 100 - MARGIN for place in places)
    assert axis.low < axis.high
    assert 2 <= len(axis.ticks) <= 8
    ranked = sorted(zip(values, places, strict=True))
    assert [place for _, place in ranked] == sorted(places)


def test_rows_stand_in_order_between_floor_and_ceiling() -> None:
    rows = {
        "model": Measure(0.5, 0.4, 0.6),
        "ground_truth": Measure(1.0),
        "shuffled": Measure(0.0),
    }
    chart = row_chart("clip_cosine", rows)
    assert [bar.name for bar in chart.bars] == ["ground_truth", "model", "shuffled"]
    truth, model, floor = chart.bars
    # 0 to 1 over 3 to 97 percent
    assert (floor.at, model.at, truth.at) == (3.0, 50.0, 97.0)
    assert (model.low, model.high) == pytest.approx((40.6, 59.4))
    assert truth.low is None
    assert chart.span == (3.0, 97.0)
    ranks = row_chart("median_rank", {"model": Measure(9.0), "ground_truth": Measure(1.0)})
    assert [bar.name for bar in ranks.bars] == ["ground_truth", "model"]


def test_runs_keep_their_order_and_tell_what_they_are_off() -> None:
    chart = run_chart("nll", {"this run": Measure(1.5), "b": Measure(1.25), "a": Measure(2.0)})
    assert [bar.name for bar in chart.bars] == ["this run", "b", "a"]
    assert [bar.difference for bar in chart.bars] == [None, -0.25, 0.5]
