"""Metrics and histograms from cosines, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.histogram import ScoreHistogram
from pipeline.evaluation.tally import SplitTally


def test_metrics_by_hand() -> None:
    tally = SplitTally()
    rows = {
        "model": [0.6, -0.2, 0.5],
        "ground_truth": [0.9, 0.8, 1.0],
        "shuffled": [0.0, 0.2, 0.1],
        "copy_last": [0.5, 0.5, 0.5],
        "no_prefix": [0.1, 0.1, 0.1],
    }
    both = {name: np.array(values[:2]) for name, values in rows.items()}
    last = {name: np.array(values[2:]) for name, values in rows.items()}
    tally.add(both, ["a lamp", "a key"])
    tally.add(last, ["a lamp"])
    assert tally.metrics() == pytest.approx(
        {
            "clip_cosine": 0.3,
            "clipscore": 2.5 * 1.1 / 3,  # -0.2 counts as 0
            "clip_cosine_ground_truth": 0.9,
            "clip_cosine_shuffled": 0.1,
            "clip_cosine_copy_last": 0.5,
            "clip_cosine_no_prefix": 0.1,
            "lift": 0.25,
            "lift_copy_last": 0.5,
            "lift_no_prefix": 0.0,
            "distinct": 2 / 3,
        }
    )


def test_histogram_by_hand() -> None:
    histogram = ScoreHistogram()
    histogram.add("model", np.array([0.30, 0.31, 0.33, 0.3199]))
    histogram.add("shuffled", np.array([0.36]))
    assert histogram.rows() == [
        {"cosine": 0.31, "model": 0.75, "shuffled": 0.0},
        {"cosine": 0.33, "model": 0.25, "shuffled": 0.0},
        {"cosine": 0.35, "model": 0.0, "shuffled": 0.0},
        {"cosine": 0.37, "model": 0.0, "shuffled": 1.0},
    ]


def test_an_empty_histogram_has_no_rows() -> None:
    assert ScoreHistogram().rows() == []


@given(st.lists(st.floats(-1.000001, 1.000001), min_size=1, max_size=60))
def test_every_cosine_is_counted_once_near_its_value(values: list[float]) -> None:
    histogram = ScoreHistogram()
    histogram.add("model", np.array(values))
    rows = histogram.rows()
    assert sum(row["model"] for row in rows) == pytest.approx(1.0, abs=1e-4)
    mean = sum(row["model"] * row["cosine"] for row in rows)
    assert mean == pytest.approx(np.mean(values), abs=0.0101)
