"""What `dvc plots` draws of a split: distributions of scores and lengths, and recall by rank."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.common.files import write_json
from pipeline.evaluation.histogram import histogram
from pipeline.evaluation.scores import Columns

COSINE_BIN, WORDS_BIN = 0.02, 5.0
RECALL_AT = (1, 2, 3, 5, 10, 20, 50, 100)


def write_plots(out: Path, split: str, rows: Mapping[str, Columns]) -> None:
    """Write score_histogram_, words_histogram_ and recall_{split}.json into `out`.

    Each is a list of records with one number per row of captions: a share of the captions.
    """
    for name, column, width in (
        ("score", "clip_cosine", COSINE_BIN),
        ("words", "words", WORDS_BIN),
    ):
        label = "cosine" if name == "score" else name
        values = {row: columns[column] for row, columns in rows.items()}
        write_json(out / f"{name}_histogram_{split}.json", histogram(values, width, label))
    ranked = {row: columns["rank"] for row, columns in rows.items() if "rank" in columns}
    write_json(out / f"recall_{split}.json", recall(ranked))


def recall(ranks: Mapping[str, NDArray[Any]]) -> list[dict[str, float]]:
    """One record for each k: the share of each row's ranks [N] that are k or better.

    Beyond the number of stories, where every target is found, there are no records.
    """
    stories = max((len(values) for values in ranks.values()), default=0)
    return [
        {"k": k} | {row: round(float(np.mean(values <= k)), 6) for row, values in ranks.items()}
        for k in RECALL_AT
        if k < stories
    ]
