"""Keys of 32 bytes: as arrays, and found among many."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64, UInt8

KEY_BYTES = 32
Keys = UInt8[np.ndarray, "n 32"]


def as_keys(keys: Sequence[bytes] | np.ndarray) -> Keys:
    """Keys of 32 bytes each as an array."""
    if len(keys) == 0:
        return np.zeros((0, KEY_BYTES), np.uint8)
    if isinstance(keys, np.ndarray):
        array = np.ascontiguousarray(keys, np.uint8)
    else:
        array = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1)
    if array.ndim != 2 or array.shape[1] != KEY_BYTES:
        raise ValueError(f"keys must be N x {KEY_BYTES} bytes, not {array.shape}")
    return array


class KeyIndex:
    """Finds keys among known ones by binary search; of equal known keys the first counts."""

    def __init__(self, *parts: UInt8[np.ndarray, "_ 32"]) -> None:
        """Index the rows of some arrays, one behind the other."""
        flat = flat_keys(np.concatenate([as_keys(part) for part in parts] or [as_keys([])]))
        self._starts = np.cumsum([0] + [len(part) for part in parts])
        self._order = np.argsort(flat, kind="stable")
        self._sorted = flat[self._order]

    def find(self, keys: Sequence[bytes] | Keys) -> Int64[np.ndarray, " n"]:
        """Row of each key among the known ones, or -1."""
        wanted = flat_keys(as_keys(keys))
        if len(self._sorted) == 0:
            return np.full(len(wanted), -1, np.int64)
        place = np.searchsorted(self._sorted, wanted).clip(max=len(self._sorted) - 1)
        return np.where(self._sorted[place] == wanted, self._order[place], -1)

    def by_part(
        self, rows: Int64[np.ndarray, " n"]
    ) -> Iterator[tuple[int, Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]]:
        """Sort rows that `find` gave by the part they lie in.

        Yields:
            The part's number, which of `rows` lie in it, and their rows within the part.
        """
        for part, here in grouped(self.part_of(rows)):
            yield part, here, rows[here] - self._starts[part]

    def part_of(self, rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Number of the part that each of the rows that `find` gave lies in; -1 stays -1."""
        return np.searchsorted(self._starts, rows, side="right") - 1

    def row_in_part(self, rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Their rows within these parts."""
        return rows - self._starts[self.part_of(rows)]


def grouped(values: Int64[np.ndarray, " n"]) -> Iterator[tuple[int, Int64[np.ndarray, " m"]]]:
    """The different values, ascending, each with its places."""
    order = np.argsort(values, kind="stable")
    found, starts = np.unique(values[order], return_index=True)
    stops = np.append(starts[1:], len(order))
    for value, start, stop in zip(found.tolist(), starts, stops, strict=False):
        yield value, order[start:stop]


def flat_keys(keys: Keys) -> np.ndarray:
    """Keys as one value each, [n] of S32, which compare as their bytes do.

    NumPy drops trailing zero bytes of S32 when it compares, on both sides alike, so that keys of
    one length are equal exactly if their bytes are.
    """
    flat: np.ndarray = np.ascontiguousarray(keys).view(f"S{KEY_BYTES}").reshape(-1)
    return flat
