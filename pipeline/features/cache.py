"""The encode cache: every embedding ever computed on this machine, by content and encoder.

It lives outside the repository (`$STORYCACHE_HOME`, default ~/.cache/storycache), so that a killed
run goes on where it was and a queued experiment or a second clone encodes nothing twice. One
folder per modality and encoder fingerprint, a feature shard per finished chunk.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float16

from pipeline.common.chunks import ChunkCache
from pipeline.common.files import CannotWriteError, UnreadableError, write_json
from pipeline.common.home import storycache_home
from pipeline.common.keys import Keys, as_keys
from pipeline.features.store import Shard, write_shard

EMBEDDINGS = "embeddings"
ENCODER_FILE = "encoder.json"


class EncodeCache(ChunkCache[Shard]):
    """The embeddings of one modality by one encoder."""

    def __init__(
        self,
        modality: str,
        fingerprint: str,
        home: Path | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """See what is there.

        Args:
            settings: what the encoder says of itself (`FrozenClip.settings`), for whoever looks
                into the cache.
        """
        self.attributes = {"fingerprint": fingerprint, "modality": modality}
        self._settings = settings
        folder = (home or storycache_home()) / EMBEDDINGS / f"{modality}-{fingerprint[:16]}"
        super().__init__(folder, fingerprint)
        self._in_use()

    def open_chunk(self, path: Path) -> tuple[Keys, Shard]:
        shard = open_shard(path, self.attributes["fingerprint"])
        return shard.keys, shard

    def add(self, keys: Keys, embeddings: Float[np.ndarray, "n d"]) -> None:
        """Keep a finished chunk; the embeddings are of unit norm.

        Raises:
            UserError: if the cache cannot be written to, or an embedding is not finite.
        """
        with self.adding(keys) as path:
            write_shard(path, keys, embeddings, self.attributes)
        self._in_use()

    def _in_use(self) -> None:
        """Say in the folder, where there is one, whose it is; the file's date is the last use."""
        if self._settings is None or not self.folder.is_dir():
            return
        note, settings, self._settings = self.folder / ENCODER_FILE, self._settings, None
        with suppress(OSError, CannotWriteError):  # a cache that may only be read is one too
            if note.exists():
                note.touch()
            else:
                write_json(note, {**self.attributes, **settings})

    def read(self, keys: Keys) -> Float16[np.ndarray, "n d"]:
        """Embeddings of keys that are there, at least one.

        Raises:
            UserError: if some are not there (any more).
        """
        keys = as_keys(keys)
        result = np.empty((0, 0), np.float16)
        left = np.arange(len(keys))
        while len(left):
            lost = []
            for shard, here, rows in self.find(keys[left]):
                if not len(result):
                    result = np.empty((len(keys), shard.dim), np.float16)
                try:
                    result[left[here]] = shard.read(rows)
                except OSError as error:  # it changed since it was opened
                    self.leave_out(shard.path.name, error)
                    lost.append(left[here])
            left = np.concatenate(lost) if lost else left[:0]
        return result


def open_shard(path: Path, fingerprint: str) -> Shard:
    """Check a chunk from end to end. Raises OSError as `Shard.open`, and if it is another's."""
    shard = Shard.open(path)
    if shard.attributes.get("fingerprint") != fingerprint:
        raise UnreadableError("it is of another encoder")
    return shard
