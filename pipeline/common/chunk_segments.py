"""Segments of the index of a chunk cache: immutable files of sorted keys and where they lie.

A segment holds a row for each row of the chunk files that it covers: the key, the number of its
chunk file among those, and its row in there. The rows are sorted by key and lie in blocks of
`BLOCK_ROWS`; behind them stand the covered files' names, and of every block its first key and its
CRC-32; behind that, its SHA-256. A look-up reads the blocks alone that its keys can lie in.
"""

import hashlib
import json
import weakref
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.common.files import UnreadableError, replacing
from pipeline.common.keys import KEY_BYTES

ROW = np.dtype([("key", f"S{KEY_BYTES}"), ("file", "<u4"), ("row", "<u4")])
BLOCK_ROWS = 128
BLOCK_BYTES = BLOCK_ROWS * ROW.itemsize
BLOCKS_AT_A_TIME = 256
"""What is held of each segment when several are merged."""
KEYS_AT_A_TIME = 4096
"""Keys that are looked up at a time, in no more than about as many blocks: 20 MB."""
_MAGIC = b"chunk index 1\n\0\0"
_END_BYTES = 32 + 8 + len(_MAGIC)
Rows = np.ndarray
"""[n] of `ROW`."""
CoveredFile = tuple[str, int]
"""Name of a chunk file, and how many rows it has."""


class Segment:
    """A segment whose end was found whole; each block is checked when it is read.

    A file that turns out to be damaged is removed: nothing is lost with it.
    """

    def __init__(self, path: Path) -> None:
        """Open it: it can be read on when another process has removed it.

        Raises:
            OSError: it cannot be read; an `UnreadableError` where it is damaged.
        """
        self.path = path
        self._stream = stream = path.open("rb", buffering=0)
        weakref.finalize(self, stream.close)
        size = stream.seek(0, 2)
        end = self._read(max(0, size - _END_BYTES), _END_BYTES)
        digest, length = end[:32], int.from_bytes(end[32:40], "little")
        if end[40:] != _MAGIC or length > size - _END_BYTES:
            raise UnreadableError("it is no segment of this version")
        foot = self._read(size - _END_BYTES - length, length)
        if hashlib.sha256(foot + end[32:]).digest() != digest:
            raise UnreadableError("its content does not match its checksum")
        names, blocks = foot.split(b"\n", 1)
        self.files: list[CoveredFile] = [(name, rows) for name, rows in json.loads(names)]
        self.rows = sum(rows for _, rows in self.files)
        count = -(-self.rows // BLOCK_ROWS)
        self._first = np.frombuffer(blocks, f"S{KEY_BYTES}", count)
        self._crc = np.frombuffer(blocks, "<u4", count, self._first.nbytes)

    def find(
        self, keys: NDArray[np.bytes_], numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Look up keys, [n] of S32 in ascending order.

        Args:
            numbers: what to call each of `files`, or -1 for those that do not count.

        Returns:
            The file's number and the row of each key [n], or -1.

        Raises:
            OSError: as when it was opened.
        """
        files, places = np.full((2, len(keys)), -1, np.int64)
        if not self.rows:
            return files, places
        for start in range(0, len(keys), KEYS_AT_A_TIME):
            some = keys[start : start + KEYS_AT_A_TIME]
            # A key that several files hold may begin in the block before the one it is first in.
            first = (np.searchsorted(self._first, some, side="left") - 1).clip(min=0)
            last = (np.searchsorted(self._first, some, side="right") - 1).clip(min=0)
            rows = self._read_blocks(_numbers_between(first, last))
            known = np.ascontiguousarray(rows["key"])
            place, stop = (np.searchsorted(known, some, side=side) for side in ("left", "right"))
            left = np.flatnonzero(place < stop)
            while len(left):
                found = rows[place[left]]
                number = numbers[found["file"]]
                counts = number >= 0
                files[start + left[counts]] = number[counts]
                places[start + left[counts]] = found["row"][counts]
                place[left] += 1
                left = left[~counts & (place[left] < stop[left])]
        return files, places

    def sorted_rows(self, numbers: NDArray[np.int64]) -> Iterator[Rows]:
        """All rows in pieces, of files whose number is not -1; `file` is that number.

        Raises:
            OSError: as when it was opened.
        """
        for start in range(0, len(self._crc), BLOCKS_AT_A_TIME):
            rows = self._read_blocks(
                np.arange(start, min(start + BLOCKS_AT_A_TIME, len(self._crc)))
            ).copy()
            number = numbers[rows["file"]]
            rows["file"] = number  # -1 wraps around, and is dropped
            rows = rows[number >= 0]
            if len(rows):
                yield rows

    def _read_blocks(self, blocks: NDArray[np.int64]) -> Rows:
        """The rows of blocks with these ascending numbers."""
        parts = []
        for run in np.split(blocks, np.flatnonzero(np.diff(blocks) > 1) + 1):
            if len(run):
                size = min((run[-1] + 1) * BLOCK_ROWS, self.rows) - run[0] * BLOCK_ROWS
                data = self._read(int(run[0]) * BLOCK_BYTES, int(size) * ROW.itemsize)
                for i, block in enumerate(run.tolist()):
                    whole = data[i * BLOCK_BYTES : (i + 1) * BLOCK_BYTES]
                    if zlib.crc32(whole) != self._crc[block]:
                        remove(self.path)
                        raise UnreadableError("its content does not match its checksum")
                parts.append(data)
        return np.frombuffer(b"".join(parts), ROW)

    def _read(self, offset: int, size: int) -> bytes:
        self._stream.seek(offset)
        data = self._stream.read(size)
        if len(data) < size:
            remove(self.path)
            raise UnreadableError("it is cut short")
        return data


def write_segment(folder: Path, files: Sequence[CoveredFile], rows: Iterable[Rows]) -> Path:
    """Write the sorted rows of some chunk files, given in pieces.

    The name is a function of what is covered: whoever covers the same writes the same.

    Raises:
        CannotWriteError: as of `replacing`.
        OSError: of what `rows` are read from.
    """
    names = json.dumps(files).encode()
    path = folder / f"{hashlib.sha256(names).hexdigest()[:32]}.idx"
    first: list[bytes] = []
    crcs: list[int] = []
    with replacing(path) as partial, partial.open("wb") as stream:
        for block in _blocks(rows):
            data = block.tobytes()
            first.append(data[:KEY_BYTES])
            crcs.append(zlib.crc32(data))
            stream.write(data)
        foot = b"".join([names, b"\n", *first, np.array(crcs, "<u4").tobytes()])
        end = len(foot).to_bytes(8, "little") + _MAGIC
        stream.write(foot + hashlib.sha256(foot + end).digest() + end)
    return path


def merged(runs: Sequence[Iterator[Rows]]) -> Iterator[Rows]:
    """Merge runs of sorted rows, given in pieces; no more than a piece of each is held."""
    heads = [(head, run) for run in runs if (head := next(run, None)) is not None]
    while heads:
        bound = min(head["key"][-1] for head, _ in heads)
        ready, left = [], []
        for head, run in heads:
            cut = np.searchsorted(head["key"], bound, side="right")
            ready.append(head[:cut])
            rest = head[cut:] if cut < len(head) else next(run, None)
            if rest is not None:
                left.append((rest, run))
        heads = left
        yield sorted_by_key(np.concatenate(ready))


def sorted_by_key(rows: Rows) -> Rows:
    """Rows in the order of their keys; of equal ones, as they were."""
    return rows[np.argsort(np.ascontiguousarray(rows["key"]), kind="stable")]


def remove(path: Path) -> None:
    """Remove a segment, if that can be."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _blocks(pieces: Iterable[Rows]) -> Iterator[Rows]:
    rest = np.empty(0, ROW)
    for piece in pieces:
        rest = np.concatenate([rest, piece])
        whole = len(rest) - len(rest) % BLOCK_ROWS
        yield from (rest[i : i + BLOCK_ROWS] for i in range(0, whole, BLOCK_ROWS))
        rest = rest[whole:]
    if len(rest):
        yield rest


def _numbers_between(first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.int64]:
    """All numbers of the ranges first..last, the ends included, once and ascending."""
    many = np.unique(np.concatenate([first, last]))
    wide = np.flatnonzero(last - first > 1)
    inner = [np.arange(first[i] + 1, last[i]) for i in wide.tolist()]
    return np.unique(np.concatenate([many, *inner])) if inner else many
