"""What is plotted, by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.histogram import histogram
from pipeline.evaluation.plots import recall, write_plots


def test_histogram_by_hand() -> None:
    values = {"model": np.array([0.30, 0.31, 0.33, 0.3199]), "shuffled": np.array([0.36])}
    assert histogram(values, 0.02, "cosine") == [
        {"cosine": 0.31, "model": 0.75, "shuffled": 0.0},
        {"cosine": 0.33, "model": 0.25, "shuffled": 0.0},
        {"cosine": 0.35, "model": 0.0, "shuffled": 0.0},
        {"cosine": 0.37, "model": 0.0, "shuffled": 1.0},
    ]


def test_an_empty_histogram_has_no_rows() -> None:
    assert histogram({}, 0.02, "cosine") == []
    assert histogram({"model": np.array([])}, 0.02, "cosine") == []


@given(st.lists(st.floats(-1.000001, 1.000001), min_size=1, max_size=60))
def test_every_value_is_counted_once_near_its_place(values: list[float]) -> None:
    rows = histogram({"model": np.array(values)}, 0.02, "cosine")
    assert sum(row["model"] for row in rows) == pytest.approx(1.0, abs=1e-4)
    mean = sum(row["model"] * row["cosine"] for row in rows)
    assert mean == pytest.approx(np.mean(values), abs=0.0101)


def test_recall_by_hand() -> None:
    ranks = {"model": np.array([1, 1, 3, 7]), "shuffled": np.array([4, 4, 4, 4])}
    assert recall(ranks) == [
        {"k": 1, "model": 0.5, "shuffled": 0.0},
        {"k": 2, "model": 0.5, "shuffled": 0.0},
        {"k": 3, "model": 0.75, "shuffled": 0.0},
    ]
    assert recall({}) == []


def test_each_file_holds_every_row(tmp_path: Path) -> None:
    columns = {"clip_cosine": np.array([0.1, 0.2]), "words": np.array([3.0, 70.0])}
    rows = {"model": columns | {"rank": np.array([1, 2])}, "copy_last": columns}
    write_plots(tmp_path, "test", rows)
    found = {path.name: json.loads(path.read_text()) for path in tmp_path.iterdir()}
    assert set(found) == {
        "score_histogram_test.json",
        "words_histogram_test.json",
        "recall_test.json",
    }
    assert [row["model"] for row in found["words_histogram_test.json"]] == [0.5, *[0.0] * 13, 0.5]
    assert found["recall_test.json"] == [{"k": 1, "model": 0.5}]
