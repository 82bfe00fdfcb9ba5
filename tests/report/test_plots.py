"""Rows for `dvc plots`, counted by hand."""

from pipeline.report.measures import Measure, SplitMeasures
from pipeline.report.plots import length_rows, recall_rows


def test_recall_has_a_row_per_k() -> None:
    rows = {
        "model": {"r1": Measure(0.2), "r5": Measure(0.5), "r10": Measure(0.7)},
        "ground_truth": {"r1": Measure(0.6), "r5": Measure(0.8), "r10": Measure(0.9)},
        "no_prefix": {"words": Measure(3.0)},
    }
    assert recall_rows(SplitMeasures(10, rows, {})) == [
        {"k": 1, "model": 0.2, "ground_truth": 0.6},
        {"k": 5, "model": 0.5, "ground_truth": 0.8},
        {"k": 10, "model": 0.7, "ground_truth": 0.9},
    ]
    assert recall_rows(SplitMeasures(1, {"model": {}}, {})) == []


def test_lengths_are_shares_in_bins_of_five_without_gaps() -> None:
    def record(model: int, truth: int) -> dict:
        return {
            "prediction": "word " * model,
            "reference": "word " * truth,
            "captions": {"copy_last": "not counted"},
        }

    assert length_rows([record(4, 5), record(4, 17), record(9, 17), record(0, 17)]) == [
        {"words": 2.0, "model": 0.75, "ground_truth": 0.0},
        {"words": 7.0, "model": 0.25, "ground_truth": 0.25},
        {"words": 12.0, "model": 0.0, "ground_truth": 0.0},
        {"words": 17.0, "model": 0.0, "ground_truth": 0.75},
    ]
    assert length_rows([]) == []
