"""Finished work by key, in a folder of files that is only ever added to."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Bool, Int64

from pipeline.common.chunk_index import ChunkIndex, warn
from pipeline.common.errors import UserError
from pipeline.common.home import in_home
from pipeline.common.keys import Keys, as_keys, grouped
from pipeline.common.parts import WHOLE, Part

Chunk = TypeVar("Chunk")
INDEX = "index"


class ChunkCache(ABC, Generic[Chunk]):
    """A folder of sealed HDF5 files, a finished chunk of keyed rows in each.

    Files appear whole and under the name of their keys, so that a killed run goes on where it was
    and any number of processes may share a cache. Which keys are there says an index (`ChunkIndex`)
    that may lag or lie: a file is checked from end to end when something is first read from it. All
    of it may be deleted at any time.
    """

    def __init__(self, folder: Path, of: str = "") -> None:
        """See what is there; files that cannot be used are named on stderr and left out.

        Args:
            of: name of whoever the index is for, where files of several could lie in the folder.
        """
        self.folder = folder
        self._opened: dict[str, tuple[Keys, Chunk]] = {}
        """Checked files, by name."""
        self._index = ChunkIndex(folder, folder / INDEX / of, lambda path: self.open_chunk(path)[0])

    @abstractmethod
    def open_chunk(self, path: Path) -> tuple[Keys, Chunk]:
        """The keys of a file, and what its rows are read from.

        Raises:
            OSError: the file cannot be read, or is of no use here.
        """

    def contains(self, keys: Sequence[bytes] | Keys) -> Bool[np.ndarray, " n"]:
        """Which of some keys are there, as the index says: it reads no chunk."""
        return self._index.find(keys)[0] >= 0

    def files(self) -> dict[str, int]:
        """Rows of every file that is in use, by name."""
        return self._index.rows()

    def files_of(self, keys: Keys) -> set[str]:
        """Names of whole files in which all of these keys lie that can be read."""
        files, _ = self._locate(keys)
        return {self._index.names[file] for file in np.unique(files[files >= 0])}

    def readable(self, keys: Sequence[bytes] | Keys) -> Bool[np.ndarray, " n"]:
        """Which of some keys are there, in files that are found whole.

        Those that are not are named on stderr and left out.
        """
        return self._locate(keys)[0] >= 0

    def missing(
        self, keys: Sequence[bytes] | Keys, size: int, part: Part = WHOLE
    ) -> tuple[int, list[Int64[np.ndarray, " _"]]]:
        """What has to be made of a part of some keys, cut into chunks at fixed places.

        The part is whole chunks, of so many keys each, in a row: which rows are made together
        depends neither on how the work is divided nor on where a run was cut.

        Returns:
            How many keys the part has, and of each of its chunks that lacks some, their places.
        """
        starts = part.of(range(0, len(keys), size))
        share = np.arange(starts.start, min(starts.stop, len(keys)))
        lacking = share[~self.readable(keys[starts.start : starts.stop])]
        chunks = np.split(lacking, np.flatnonzero(np.diff(lacking // size)) + 1)
        return len(share), [chunk for chunk in chunks if len(chunk)]

    @contextmanager
    def adding(self, keys: Keys) -> Iterator[Path]:
        """Give the file to write a finished chunk to; its keys are there afterwards.

        Raises:
            UserError: if it cannot be written.
        """
        path = self.folder / chunk_name(keys)
        with in_home():
            yield path  # a file of this name holds the same keys: it replaces a damaged one
        try:
            self._opened[path.name] = self.open_chunk(path)
        except FileNotFoundError:
            self._index.look_again()  # it has become a part of another one already
        except OSError as error:
            raise self._changed() from error
        else:
            self._index.add(path.name, self._opened[path.name][0])

    def find(
        self, keys: Sequence[bytes] | Keys
    ) -> Iterator[tuple[Chunk, Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]]:
        """Look up keys that are there.

        Yields:
            A chunk, the places among `keys` of those that lie in it, and their rows in it.

        Raises:
            UserError: if some are not there (any more).
        """
        files, rows = self._locate(keys)
        if len(files) and files.min() < 0:
            raise self._changed()
        for file, here in grouped(files):
            yield self._opened[self._index.names[file]][1], here, rows[here]

    def leave_out(self, name: str, error: OSError | None = None) -> None:
        """A file cannot be read, or is to go: the others count from now on."""
        self._opened.pop(name, None)
        self._index.forget(name)
        if isinstance(error, FileNotFoundError):
            self._index.look_again()  # it may have become a part of another one
        elif error is not None:
            warn(self.folder / name, error)

    def _locate(self, keys: Sequence[bytes] | Keys) -> tuple[np.ndarray, np.ndarray]:
        """File number and row of each key, int64 [n] both, in files that were opened; or -1."""
        wanted = as_keys(keys)
        while True:  # each time round with a file less, or one that the index is right about
            files, rows = self._index.find(wanted)
            there = np.flatnonzero(files >= 0)
            right = [
                self._holds(self._index.names[file], wanted[there[here]], rows[there[here]])
                for file, here in grouped(files[there])
            ]
            if all(right):
                return files, rows

    def _holds(self, name: str, keys: Keys, rows: Int64[np.ndarray, " m"]) -> bool:
        """Whether a file is whole and has these keys in these rows; if not, the index learns it."""
        try:
            known, _ = self._opened.get(name) or self._open(name)
        except OSError as error:
            self.leave_out(name, error)
            return False
        if len(rows) and rows.max() < len(known) and np.array_equal(known[rows], keys):
            return True
        self._index.correct(name, known)
        return False

    def _open(self, name: str) -> tuple[Keys, Chunk]:
        self._opened[name] = self.open_chunk(self.folder / name)
        return self._opened[name]

    def _changed(self) -> UserError:
        return UserError(f"the cache {self.folder} changed under this run; run it again")


def chunk_name(keys: Keys) -> str:
    """Name of the file that holds a chunk of these keys."""
    return f"{hashlib.sha256(np.ascontiguousarray(keys).data).hexdigest()[:32]}.h5"
