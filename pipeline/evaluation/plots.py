"""What `dvc plots` draws of a split: distributions of scores and lengths, and recall by rank."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.common.files import write_json
from pipeline.evaluation.metrics import Columns
from pipeline.evaluation.references import GENERATED, GROUND_TRUTH

COSINE_BIN, WORDS_BIN = 0.02, 5.0
PLOTTED_RANKS = (1, 2, 3, 5, 10, 20, 50, 100)

Points = list[dict[str, Any]]
"""`row`, a value under the name of the axis, and the row's `share` of captions there."""


def write_plots(out: Path, split: str, rows: Mapping[str, Columns]) -> None:
    """Write score_histogram_, words_histogram_ and recall_{split}.json into `out`.

    Of lengths those of the model's captions and of true ones: what other rows copy is as long.
    """
    cosines = {row: columns["clip_cosine"] for row, columns in rows.items()}
    words = {row: rows[row]["words"] for row in (GROUND_TRUTH, *GENERATED) if row in rows}
    ranks = {row: columns["rank"] for row, columns in rows.items() if "rank" in columns}
    write_json(out / f"score_histogram_{split}.json", histogram(cosines, COSINE_BIN, "cosine"))
    write_json(out / f"words_histogram_{split}.json", histogram(words, WORDS_BIN, "words"))
    write_json(out / f"recall_{split}.json", recall(ranks))


def histogram(values: Mapping[str, NDArray[Any]], width: float, axis: str) -> Points:
    """The share of each row's values [N] in bins of equal width, named by their middles.

    From the first bin that is not empty in any row to the last, so that a plot shows where the
    values are. Bins start at the multiples of their width.
    """
    # Rounded, so that 0.3 / 0.02 falls into the bin that starts at 0.3 and not into the one below.
    bins = {
        row: np.floor(np.round(v / width, 6)).astype(int) for row, v in values.items() if len(v)
    }
    if not bins:
        return []
    first = min(int(numbers.min()) for numbers in bins.values())
    size = max(int(numbers.max()) for numbers in bins.values()) - first + 1
    return [
        {"row": row, axis: round((first + i + 0.5) * width, 6), "share": round(count / len(of), 6)}
        for row, of in bins.items()
        for i, count in enumerate(np.bincount(of - first, minlength=size).tolist())
    ]


def recall(ranks: Mapping[str, NDArray[Any]]) -> Points:
    """The share of each row's ranks [N] that are k or better.

    Only of k below the number of stories: beyond it every target is found.
    """
    return [
        {"row": row, "k": k, "share": round(float(np.mean(of <= k)), 6)}
        for row, of in ranks.items()
        for k in PLOTTED_RANKS
        if k < len(of)
    ]
