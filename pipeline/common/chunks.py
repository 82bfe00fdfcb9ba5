"""Finished work by key, in a folder of files that is only ever added to."""

import hashlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Bool, Int64

from pipeline.common.errors import UserError, reason
from pipeline.common.files import UnreadableError
from pipeline.common.home import in_home
from pipeline.common.keys import KeyIndex, Keys

Chunk = TypeVar("Chunk")


class ChunkCache(ABC, Generic[Chunk]):
    """A folder of sealed HDF5 files, a finished chunk of keyed rows in each.

    Files appear whole and under the name of their keys, so that a killed run goes on where it was
    and any number of processes may share a cache. It may be deleted at any time.
    """

    def __init__(self, folder: Path) -> None:
        """See which keys are there; files that cannot be used are named on stderr and left out."""
        self.folder = folder
        self._keys: list[Keys] = []
        self._chunks: list[Chunk] = []
        self._index: KeyIndex | None = None
        for path in sorted(folder.glob("*.h5")):
            try:
                self._remember(path)
            except OSError as error:
                print(f"warning: ignoring {path}: {reason(error)}", file=sys.stderr)

    @abstractmethod
    def open_chunk(self, path: Path) -> tuple[Keys, Chunk]:
        """The keys of a file, and what its rows are read from.

        Raises:
            OSError: the file cannot be read, or is of no use here.
        """

    def contains(self, keys: Sequence[bytes] | Keys) -> Bool[np.ndarray, " n"]:
        """Which of some keys are there."""
        return self._indexed().find(keys) >= 0

    @contextmanager
    def adding(self, keys: Keys) -> Iterator[Path]:
        """Give the file to write a finished chunk to; its keys are there afterwards.

        Raises:
            UserError: if it cannot be written.
        """
        name = hashlib.sha256(np.ascontiguousarray(keys).data).hexdigest()[:32]
        path = self.folder / f"{name}.h5"
        with in_home():
            yield path  # a file of this name holds the same keys: it replaces a damaged one
        with self.unchanged():
            self._remember(path)

    def find(
        self, keys: Sequence[bytes] | Keys
    ) -> Iterator[tuple[Chunk, Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]]:
        """Look up keys that are there.

        Yields:
            A chunk, the places among `keys` of those that lie in it, and their rows in it.

        Raises:
            UserError: if some are not there (any more).
        """
        index = self._indexed()
        rows = index.find(keys)
        with self.unchanged():
            if len(rows) and rows.min() < 0:
                raise UnreadableError("a key is not there")
        for part, here, rows_in_part in index.by_part(rows):
            yield self._chunks[part], here, rows_in_part

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Say in one sentence that a file of the cache is gone, or not what it was."""
        try:
            yield
        except OSError as error:
            raise UserError(
                f"the cache {self.folder} changed under this run; run it again"
            ) from error

    def _remember(self, path: Path) -> None:
        keys, chunk = self.open_chunk(path)
        self._keys.append(keys)
        self._chunks.append(chunk)
        self._index = None

    def _indexed(self) -> KeyIndex:
        self._index = self._index or KeyIndex(*self._keys)
        return self._index
