"""At which place does an embedding find its own target among others?"""

import numpy as np
from numpy.typing import NDArray

BLOCK_ELEMENTS = 2**22
"""Similarities held at a time."""
ROUNDING = 1e-6
"""Cosines nearer than this are taken as equal: the store keeps float16, products are float32."""


def ranks(
    queries: NDArray[np.floating],
    candidates: NDArray[np.floating],
    own: NDArray[np.int64],
    content: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Place of each query's own candidate by cosine, 1 for the nearest: [N].

    Candidates of the same content as the own one are equally right and do not count against it.
    Any other that is as near counts as nearer: who cannot tell two apart has found neither, and an
    empty caption, a row of zeros, comes last.

    Args:
        queries: [N, D], of any length.
        candidates: [M, D], of any length above 0.
        own: which candidate is right, [N].
        content: number of each candidate's content, [M].
    """
    queries, candidates = unit(queries), unit(candidates)
    found = np.empty(len(queries), np.int64)
    block = max(1, BLOCK_ELEMENTS // max(len(candidates), 1))
    for start in range(0, len(queries), block):
        here = slice(start, start + block)
        cosines = queries[here] @ candidates.T  # [B, M]
        right = np.take_along_axis(cosines, own[here, None], axis=1)
        other = content[None, :] != content[own[here]][:, None]
        found[here] = 1 + ((cosines >= right - ROUNDING) & other).sum(axis=1)
    return found


def unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows [N, D] at length 1; a row of zeros stays one."""
    rows = rows.astype(np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
