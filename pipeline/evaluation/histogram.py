"""Shares of values in bins of equal width: small enough for a plot, however many values."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def histogram(
    values: Mapping[str, NDArray[Any]], width: float, label: str
) -> list[dict[str, float]]:
    """One record per bin: its middle under `label`, and the share of each row that lies in it.

    From the first bin that is not empty to the last, so that a plot shows where the values are.

    Args:
        values: row -> its values, [N].
        width: of a bin; bins start at the multiples of it.
    """
    if not any(len(column) for column in values.values()):
        return []
    # Rounded, so that 0.3 / 0.02 falls into the bin that starts at 0.3 and not into the one below.
    bins = {row: np.floor(np.round(column / width, 6)) for row, column in values.items()}
    every = np.concatenate(list(bins.values()))
    first, last = int(every.min()), int(every.max())
    shares = {
        row: np.bincount((column - first).astype(np.int64), minlength=last - first + 1)
        / max(len(column), 1)
        for row, column in bins.items()
    }
    return [
        {label: round((i + 0.5) * width, 6)}
        | {row: round(float(share[i - first]), 6) for row, share in shares.items()}
        for i in range(first, last + 1)
    ]
