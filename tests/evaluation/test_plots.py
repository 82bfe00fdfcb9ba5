"""What is plotted, by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.plots import histogram, recall, write_plots


def test_histogram_by_hand() -> None:
    values = {"model": np.array([0.30, 0.31, 0.33, 0.3199]), "shuffled": np.array([0.36])}
    assert histogram(values, 0.02, "cosine") == [
        {"row": "model", "cosine": 0.31, "share": 0.75},
        {"row": "model", "cosine": 0.33, "share": 0.25},
        {"row": "model", "cosine": 0.35, "share": 0.0},
        {"row": "model", "cosine": 0.37, "share": 0.0},
        {"row": "shuffled", "cosine": 0.31, "share": 0.0},
        {"row": "shuffled", "cosine": 0.33, "share": 0.0},
        {"row": "shuffled", "cosine": 0.35, "share": 0.0},
        {"row": "shuffled", "cosine": 0.37, "share": 1.0},
    ]


def test_an_empty_histogram_has_no_rows() -> None:
    assert histogram({}, 0.02, "cosine") == []
    assert histogram({"model": np.array([])}, 0.02, "cosine") == []


@given(st.lists(st.floats(-1.000001, 1.000001), min_size=1, max_size=60))
def test_every_value_is_counted_once_near_its_place(values: list[float]) -> None:
    points = histogram({"model": np.array(values)}, 0.02, "cosine")
    assert sum(point["share"] for point in points) == pytest.approx(1.0, abs=1e-4)
    mean = sum(point["share"] * point["cosine"] for point in points)
    assert mean == pytest.approx(np.mean(values), abs=0.0101)


def test_recall_by_hand() -> None:
    ranks = {"model": np.array([1, 1, 3, 7]), "shuffled": np.array([4, 4, 4, 4])}
    assert recall(ranks) == [
        {"row": "model", "k": 1, "share": 0.5},
        {"row": "model", "k": 2, "share": 0.5},
        {"row": "model", "k": 3, "share": 0.75},
        *({"row": "shuffled", "k": k, "share": 0.0} for k in (1, 2, 3)),
    ]
    assert recall({}) == []


def test_each_file_holds_the_rows_that_it_is_about(tmp_path: Path) -> None:
    columns = {"clip_cosine": np.array([0.1, 0.2]), "words": np.array([3.0, 70.0])}
    rows = {"model": columns | {"rank": np.array([1, 2])}, "copy_last": columns}
    write_plots(tmp_path, "test", rows)
    found = {path.stem: json.loads(path.read_text()) for path in tmp_path.iterdir()}
    assert {name: {point["row"] for point in points} for name, points in found.items()} == {
        "score_histogram_test": {"model", "copy_last"},
        "words_histogram_test": {"model"},
        "recall_test": {"model"},
    }
    assert [p["share"] for p in found["words_histogram_test"]] == [0.5, *[0.0] * 13, 0.5]
    assert found["recall_test"] == [{"row": "model", "k": 1, "share": 0.5}]
