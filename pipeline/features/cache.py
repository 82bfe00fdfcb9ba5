"""The encode cache: every embedding ever computed on this machine, by content and encoder.

It lives outside the repository (`$STORYCACHE_HOME`, default ~/.cache/storycache), so that a killed
run goes on where it was and a queued experiment or a second clone encodes nothing twice. One
folder per modality and encoder fingerprint, one file per finished chunk, in the format of the
feature shards. Files are only ever added, whole and under the name of their content, so any number
of processes may share a cache.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np

from pipeline.common.errors import UserError
from pipeline.common.home import in_home, storycache_home
from pipeline.features.store import KeyIndex, UnreadableShardError, read_shard, write_shard


class EncodeCache:
    """The embeddings of one modality by one encoder."""

    def __init__(self, modality: str, fingerprint: str, home: Path | None = None) -> None:
        self.fingerprint = fingerprint
        self.modality = modality
        folder = f"{modality}-{fingerprint[:16]}"
        self.folder = (home or storycache_home()) / "embeddings" / folder
        self._files: list[Path] = []
        self._file_of = np.zeros(0, np.int64)
        self._row_of = np.zeros(0, np.int64)
        self._index = KeyIndex(np.zeros((0, 32), np.uint8))

    def scan(self) -> None:
        """Read which keys the cache holds; damaged files are named on stderr and left out."""
        self._files, keys = [], []
        for path in sorted(self.folder.glob("*.h5")):
            found = self._read(path)
            if found is not None:
                self._files.append(path)
                keys.append(found[0])
        sizes = [len(part) for part in keys]
        self._file_of = np.repeat(np.arange(len(sizes)), sizes)
        self._row_of = np.concatenate([np.arange(n) for n in sizes] or [np.zeros(0, np.int64)])
        self._index = KeyIndex(np.concatenate(keys or [np.zeros((0, 32), np.uint8)]))

    def contains(self, keys: np.ndarray) -> np.ndarray:
        """Which of the keys, uint8 [N, 32], were there at the last scan: bool [N]."""
        return self._index.find(keys) >= 0

    def add(self, keys: np.ndarray, embeddings: np.ndarray) -> None:
        """Keep a finished chunk: keys uint8 [N, 32], embeddings [N, D] of unit norm.

        Raises:
            UserError: if the cache cannot be written to, or an embedding is not finite.
        """
        name = hashlib.sha256(np.ascontiguousarray(keys).data).hexdigest()[:32]
        attributes = {"fingerprint": self.fingerprint, "modality": self.modality}
        with in_home():
            # A file of this name holds the same keys: writing it again replaces a damaged one.
            write_shard(self.folder / f"{name}.h5", keys, embeddings, attributes)

    def read(self, keys: np.ndarray) -> np.ndarray:
        """Embeddings of keys that were there at the last scan: float16 [N, D].

        Raises:
            UserError: if some are not there (any more).
        """
        rows = self._index.find(keys)
        parts: dict[int, np.ndarray] = {}
        if len(rows) and rows.min() >= 0:
            for number in np.unique(self._file_of[rows]):
                found = self._read(self._files[number])
                if found is not None:
                    parts[int(number)] = found[1]
        if not parts or set(self._file_of[rows].tolist()) != set(parts):
            raise UserError(f"the encode cache {self.folder} changed under this run; run it again")
        dim = next(iter(parts.values())).shape[1]
        result = np.empty((len(rows), dim), np.float16)
        for number, embeddings in parts.items():
            here = np.flatnonzero(self._file_of[rows] == number)
            result[here] = embeddings[self._row_of[rows[here]]]
        return result

    def _read(self, path: Path) -> tuple[np.ndarray, np.ndarray] | None:
        try:
            keys, embeddings, attributes = read_shard(path)
        except UnreadableShardError as error:
            print(f"warning: ignoring {path}: {error}", file=sys.stderr)
            return None
        if attributes.get("fingerprint") != self.fingerprint:
            print(f"warning: ignoring {path}: it is of another encoder", file=sys.stderr)
            return None
        return keys, embeddings
