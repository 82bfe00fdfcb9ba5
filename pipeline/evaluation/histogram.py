"""Counts of scores in bins, small enough for a plot however many stories there are."""

import numpy as np
from numpy.typing import NDArray

BINS_PER_UNIT = 50
"""Bins of 0.02, over cosines from -1 to 1."""


class ScoreHistogram:
    """Counts the cosines of each row (model, ground truth, ...) in bins of equal width."""

    def __init__(self) -> None:
        self._counts: dict[str, NDArray[np.int64]] = {}

    def add(self, row: str, cosines: NDArray[np.floating]) -> None:
        """Count cosines [N] under the name `row`."""
        counts = self._counts.setdefault(row, np.zeros(2 * BINS_PER_UNIT, np.int64))
        # A cosine may exceed 1 by rounding; the rounding of the bin itself keeps 0.3 out of 0.28.
        bins = np.floor(np.round((cosines + 1.0) * BINS_PER_UNIT, 6)).astype(np.int64)
        np.add.at(counts, bins.clip(0, 2 * BINS_PER_UNIT - 1), 1)

    def rows(self) -> list[dict[str, float]]:
        """One entry per bin: the cosine in its middle, and the share of each row that lies in it.

        From the first bin that is not empty to the last, so that a plot shows where scores are.
        """
        filled = np.flatnonzero(sum(self._counts.values(), np.zeros(2 * BINS_PER_UNIT, np.int64)))
        if not len(filled):
            return []
        totals = {row: max(int(counts.sum()), 1) for row, counts in self._counts.items()}
        return [
            {"cosine": round((i + 0.5) / BINS_PER_UNIT - 1.0, 6)}
            | {row: round(int(counts[i]) / totals[row], 6) for row, counts in self._counts.items()}
            for i in range(int(filled[0]), int(filled[-1]) + 1)
        ]
