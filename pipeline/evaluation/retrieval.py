"""Does a predicted image embedding find its target among other stories' targets?"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def pools(count: int, at_most: int) -> Iterator[tuple[int, int]]:
    """Cut `count` items into as few runs of at most `at_most` as possible, of near equal size.

    Near equal, because a small last pool would be an easier question than the others.

    Yields:
        (start, stop) of each pool, in order.
    """
    number = -(-count // at_most)
    edges = [count * i // number for i in range(number + 1)] if number else []
    yield from pairwise(edges)


def hits_at_1(queries: NDArray[np.floating], targets: NDArray[np.floating]) -> int:
    """How many queries have their own target as the nearest by cosine, within one pool.

    Targets of equal content are equally right, so a tie with the own target counts as found.

    Args:
        queries: float [N, D]. targets: float [N, D]. Of any length; no row may be zero.
    """
    similarity = _unit(queries) @ _unit(targets).T  # [N, N]
    return int((np.diagonal(similarity) >= similarity.max(axis=1) - 1e-9).sum())


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    rows = rows.astype(np.float64)
    unit: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
