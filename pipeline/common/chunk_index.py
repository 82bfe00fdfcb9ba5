"""Which chunk file holds which key: on disk, so that a look-up costs by what is looked up.

The index lies beside the chunk files, in segments (`chunk_segments.py`). It is derived: a chunk
file is named by its keys, so that a segment says the same of it for ever, and what no sound segment
covers is read from the chunk files themselves. A start opens the few that were added since;
once they are many they become a segment, and segments of like size are merged, so that their number
grows as the logarithm of the rows. Any number of processes may do so at once, and any may die:
segments appear whole, and none is changed. A damaged one is removed and made anew.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from pipeline.common.chunk_segments import (
    ROW,
    CoveredFile,
    Rows,
    Segment,
    merged,
    remove,
    sorted_by_key,
    write_segment,
)
from pipeline.common.errors import reason
from pipeline.common.files import CannotWriteError
from pipeline.common.keys import KeyIndex, Keys, as_keys, flat_keys
from pipeline.common.progress import progress_bar

CHUNKS = "*.h5"
FEW_FILES = 8
"""Chunk files that are rather opened at each start than put into a segment."""
SEGMENT_ROWS = 1 << 18
"""Rows of a segment that is made of chunk files: bounds the memory that this takes."""
ATTEMPTS = 3


class ChunkIndex:
    """Finds keys among the rows of all chunk files of a folder that can be read.

    Files have numbers, which are given once and never again.
    """

    def __init__(self, chunks: Path, folder: Path, keys_of: Callable[[Path], Keys]) -> None:
        """See what is there; files that cannot be used are named on stderr and left out.

        Args:
            chunks: folder of the chunk files.
            folder: where the index lies.
            keys_of: reads the keys of a chunk file; OSError if it is of no use.
        """
        self._chunks, self._folder, self._keys_of = chunks, folder, keys_of
        self.names: list[str] = []
        """By number."""
        self._number: dict[str, int] = {}
        """Of the files that are in use."""
        self._segments: dict[Segment, Int64[np.ndarray, " _"]] = {}
        """Each with the number of every file that it covers, or -1 where it does not count."""
        self._loose: dict[int, Keys] = {}
        """Keys of files that no segment covers."""
        self._loose_index: KeyIndex | None = None
        self._writing = True
        segments = self._open_segments()
        names = self._listed()  # later than the segments: what they cover is there, or was deleted
        for segment in segments:
            numbers = [
                self._take(name) if name in names and name not in self._number else -1
                for name, _ in segment.files
            ]
            self._segments[segment] = np.array(numbers, np.int64)
        self._cover(names - self._number.keys())
        self._merge()

    def find(self, keys: Sequence[bytes] | Keys) -> tuple[np.ndarray, np.ndarray]:
        """Number of the chunk file and row of each key: two of int64 [n], or -1 for both."""
        flat = flat_keys(as_keys(keys))
        order = np.argsort(flat, kind="stable")
        ascending = flat[order]
        files, rows = np.full((2, len(flat)), -1, np.int64)
        if self._loose:
            self._loose_index = self._loose_index or KeyIndex(*self._loose.values())
            places = self._loose_index.find(keys)
            there = np.flatnonzero(places >= 0)
            numbers = np.array([*self._loose], np.int64)
            files[there] = numbers[self._loose_index.part_of(places[there])]
            rows[there] = self._loose_index.row_in_part(places[there])
        for segment, numbers in list(self._segments.items()):
            left = np.flatnonzero(files[order] < 0)
            try:
                found = segment.find(ascending[left], numbers)
            except OSError as error:
                self._rebuild(segment, error)
                return self.find(keys)
            files[order[left]], rows[order[left]] = found
        return files, rows

    def rows(self) -> dict[str, int]:
        """Rows of every chunk file in use, by name."""
        found = {self.names[number]: len(keys) for number, keys in self._loose.items()}
        for segment, numbers in self._segments.items():
            covered = zip(segment.files, numbers.tolist(), strict=True)
            found |= {name: rows for (name, rows), number in covered if number >= 0}
        return found

    def add(self, name: str, keys: Keys) -> None:
        """A chunk file of these keys is there."""
        self.forget(name)
        self._loose[self._take(name)] = keys
        self._loose_index = None

    def forget(self, name: str) -> None:
        """A chunk file is of no use, or gone."""
        number = self._number.pop(name, None)
        if number is None:
            return
        for numbers in self._segments.values():
            numbers[numbers == number] = -1
        if self._loose.pop(number, None) is not None:
            self._loose_index = None

    def correct(self, name: str, keys: Keys) -> None:
        """A chunk file holds other keys than the index says: no segment of it is believed."""
        for segment in self._segments:
            if name in dict(segment.files):
                remove(segment.path)
        self.add(name, keys)

    def look_again(self) -> None:
        """See what other processes have added since."""
        self._cover(self._listed() - set(self.names))

    def _take(self, name: str) -> int:
        self._number[name] = len(self.names)
        self.names.append(name)
        return self._number[name]

    def _listed(self) -> set[str]:
        return {path.name for path in self._chunks.glob(CHUNKS)}

    def _open_segments(self) -> list[Segment]:
        """Those that are sound, the largest first."""
        for _ in range(ATTEMPTS):
            segments, gone = [], False
            for path in sorted(self._folder.glob("*.idx")):
                try:
                    segments.append(Segment(path))
                except FileNotFoundError:
                    gone = True  # merged by another process: into one that is there now
                except OSError:
                    remove(path)
            if not gone:
                break
        return sorted(segments, key=lambda segment: -segment.rows)

    def _cover(self, names: Collection[str]) -> None:
        """Read the keys of chunk files that no segment covers."""
        rows = 0
        bar = progress_bar(sorted(names), "cache index", unit="file", disable=len(names) < 100)
        for name in bar:
            try:
                keys = self._keys_of(self._chunks / name)
            except FileNotFoundError:
                continue
            except OSError as error:
                warn(self._chunks / name, error)
                continue
            self.add(name, keys)
            rows += len(keys)
            if rows >= SEGMENT_ROWS:
                self._write_loose()
                rows = 0
        if len(self._loose) >= FEW_FILES:
            self._write_loose()

    def _write_loose(self) -> None:
        files = [(self.names[number], len(keys)) for number, keys in self._loose.items()]
        rows = np.empty(sum(count for _, count in files), ROW)
        rows["key"] = flat_keys(np.concatenate([*self._loose.values()]))
        rows["file"] = np.repeat(np.arange(len(files)), [count for _, count in files])
        rows["row"] = np.concatenate([np.arange(count) for _, count in files])
        if self._write(files, [sorted_by_key(rows)]):
            self._loose, self._loose_index = {}, None

    def _merge(self) -> None:
        """Merge segments of like size, and write those anew that are mostly of no use."""
        counts = {
            segment: sum(
                rows
                for (_, rows), number in zip(segment.files, numbers, strict=True)
                if number >= 0
            )
            for segment, numbers in self._segments.items()
        }
        for segment in [segment for segment, count in counts.items() if not count]:
            del self._segments[segment]
            remove(segment.path)
        ascending = sorted(self._segments, key=lambda segment: counts[segment])
        below = total = 0
        for i, segment in enumerate(ascending):
            below = i + 1 if counts[segment] < 2 * total else below
            total += counts[segment]
        old = ascending[:below]
        old += [s for s in ascending[below:] if 2 * counts[s] < s.rows]
        if not old or not self._writing:
            return
        names = {
            number: (name, rows)
            for segment in old
            for (name, rows), number in zip(segment.files, self._segments[segment], strict=True)
            if number >= 0
        }
        place = {number: i for i, number in enumerate(names)}
        runs = [
            segment.sorted_rows(np.array([place.get(n, -1) for n in self._segments[segment]]))
            for segment in old
        ]
        if self._write(list(names.values()), merged(runs)):
            for segment in old:
                del self._segments[segment]
                remove(segment.path)

    def _write(self, files: Sequence[CoveredFile], rows: Iterable[Rows]) -> bool:
        """Write a segment and use it; if that fails, the index is no worse than it was."""
        if not self._writing:
            return False
        try:
            segment = Segment(write_segment(self._folder, files, rows))
        except (OSError, CannotWriteError):
            self._writing = False
            return False
        self._segments[segment] = np.array([self._number[name] for name, _ in files], np.int64)
        return True

    def _rebuild(self, segment: Segment, error: OSError) -> None:
        """Read what a damaged segment covers from the chunk files; for now into memory."""
        warn(segment.path, error)
        self._writing = False
        numbers = self._segments.pop(segment)
        names = [self.names[number] for number in numbers[numbers >= 0]]
        for name in names:
            self.forget(name)
        self._cover(names)


def warn(path: Path, error: OSError) -> None:
    """Say that a file of a cache is not used."""
    print(f"warning: ignoring {path}: {reason(error)}", file=sys.stderr)
