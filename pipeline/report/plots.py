"""Rows for `dvc plots` out of what the evaluation wrote: recall at k, and caption lengths."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from pipeline.report.measures import SplitMeasures

RECALLS = {1: "r1", 5: "r5", 10: "r10"}
WORDS_PER_BIN = 5
WRITTEN = ("model", "ground_truth", "no_prefix")
"""Rows with captions of their own; the others repeat captions of the dataset."""


def recall_rows(split: SplitMeasures) -> list[dict[str, float]]:
    """One entry per k with the recall of each row that has it: the share of stories whose own
    picture is among the k nearest to the caption."""
    rows = []
    for k, metric in RECALLS.items():
        recalls = split.metric(metric)
        if recalls:
            rows.append({"k": k} | {row: measure.value for row, measure in recalls.items()})
    return rows


def length_rows(records: Iterable[dict[str, Any]]) -> list[dict[str, float]]:
    """Shares of captions by their number of words, in bins of five from the shortest on.

    Args:
        records: of one split, from predictions.jsonl.

    Returns:
        One entry per bin: the words in its middle, and the share of each row that lies in it.
    """
    counts: dict[str, Counter[int]] = {}
    for record in records:
        texts = {"model": record["prediction"], "ground_truth": record["reference"]}
        texts |= {row: text for row, text in record.get("captions", {}).items() if row in WRITTEN}
        for row, text in texts.items():
            counts.setdefault(row, Counter())[len(text.split()) // WORDS_PER_BIN] += 1
    bins = sorted({b for counter in counts.values() for b in counter})
    if not bins:
        return []
    return [
        {"words": b * WORDS_PER_BIN + (WORDS_PER_BIN - 1) / 2}
        | {row: round(counts[row][b] / counts[row].total(), 6) for row in WRITTEN if row in counts}
        for b in range(bins[0], bins[-1] + 1)
    ]
