"""Sums over stories that become the metrics of a split; nothing in it grows with their number."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.clipscore import clipscore, lift
from pipeline.evaluation.histogram import ScoreHistogram
from pipeline.evaluation.references import COPY_LAST, GROUND_TRUTH, SHUFFLED

MODEL = "model"
"""The row of the model's own captions."""
NO_PREFIX = "no_prefix"
"""The row of the decoder with its prompt and no prefix: what the words alone foretell."""


class SplitTally:
    """Collects the cosines of every row of a split."""

    def __init__(self) -> None:
        self.histogram = ScoreHistogram()
        self._sums: dict[str, float] = {}
        self._clipscore = 0.0
        self._stories = 0
        self._seen: set[bytes] = set()

    def add(self, cosines: dict[str, NDArray[np.float64]], predictions: Sequence[str]) -> None:
        """Take the cosines [N] of each row, and the model's N captions."""
        for row, values in cosines.items():
            self._sums[row] = self._sums.get(row, 0.0) + float(values.sum())
            self.histogram.add(row, values)
        self._clipscore += float(clipscore(cosines[MODEL]).sum())
        self._stories += len(predictions)
        # 16 bytes each: the one thing that grows with the stories, by less than their ids do.
        self._seen.update(hashlib.md5(text.encode()).digest() for text in predictions)

    def metrics(self) -> dict[str, float]:
        """Means over stories, the lifts between them, and the share of distinct captions.

        A lift is missing where its rows are, or where ground truth does not beat another story's.
        """
        means = {row: total / self._stories for row, total in self._sums.items()}
        figures = {
            "clip_cosine": means[MODEL],
            "clipscore": self._clipscore / self._stories,
        }
        for row in (GROUND_TRUTH, SHUFFLED, COPY_LAST, NO_PREFIX):
            if row in means:
                figures[f"clip_cosine_{row}"] = means[row]
        if SHUFFLED in means:
            for name, row in (
                ("lift", MODEL),
                ("lift_copy_last", COPY_LAST),
                ("lift_no_prefix", NO_PREFIX),
            ):
                value = lift(means[row], means[SHUFFLED], means[GROUND_TRUTH])
                if value is not None:
                    figures[name] = value
        figures["distinct"] = len(self._seen) / self._stories
        return figures
