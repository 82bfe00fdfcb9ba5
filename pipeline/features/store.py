"""The feature store: HDF5 shards of content keys and embeddings.

A shard holds `key` (N x 32 uint8, SHA-256 of the content) and `embedding` (N x D float16, unit
norm), both contiguous, and says in its attributes which encoder wrote it. Before all this stands
its SHA-256 (`hdf5.py`). The bytes of a shard are a function of its rows and attributes alone: no
time stamps, one fixed file format version.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Float16, Float32, Int64, UInt8

from pipeline.common.errors import UserError
from pipeline.common.files import UnreadableError, reading, write_bytes, writing
from pipeline.common.hdf5 import open_sealed, sealed_bytes
from pipeline.common.keys import KeyIndex, Keys, as_keys

FORMAT_VERSION = 2
SHARD_ROWS = 8192
BLOCK_ROWS = 1024
"""Rows of a shard that are read at a time."""
REMEDY = "run the embed stages (dvc repro)"


def key_array(column: pa.ChunkedArray | pa.Array) -> Keys:
    """A column of 32-byte keys, no object made of each. Raises ValueError where one is missing."""
    if column.null_count:
        raise ValueError(f"{column.null_count} of {len(column)} keys are missing")
    parts = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    width = column.type.byte_width
    arrays = [
        np.frombuffer(part.buffers()[1], np.uint8, len(part) * width, part.offset * width)
        for part in parts
        if len(part)
    ]
    return as_keys(np.concatenate(arrays).reshape(-1, width) if arrays else [])


def write_shard(
    path: Path,
    keys: Keys,
    embeddings: Float[np.ndarray, "n d"],
    attributes: Mapping[str, Any],
) -> None:
    """Write one shard; it appears under its name when it is complete and flushed.

    Args:
        path: its final name.
        embeddings: of unit norm; stored as float16.
        attributes: what the encoder says of itself (`FrozenClip.settings`), and its fingerprint.

    Raises:
        UserError: an embedding is not finite, of which nothing could be made later, or the file
            cannot be written.
    """
    with np.errstate(over="ignore"):  # found below
        keys, stored = as_keys(keys), np.ascontiguousarray(embeddings, np.float16)
    if len(keys) != len(stored):
        raise ValueError(f"{len(keys)} keys for {len(stored)} embeddings")
    bad = np.flatnonzero(~np.isfinite(stored).all(axis=1))
    if len(bad):
        raise UserError(
            f"{len(bad)} of {len(stored)} embeddings are NaN or infinite, the first of content "
            f"{keys[bad[0]].tobytes().hex()[:12]}: none is kept in {path.parent}; try "
            "clip.precision float32, or another clip.model"
        )
    own = {"format_version": FORMAT_VERSION, "dim": stored.shape[1], "dtype": "float16"}
    write_bytes(path, sealed_bytes({"key": keys, "embedding": stored}, {**own, **attributes}))


@dataclass(frozen=True)
class Shard:
    """A shard that was found whole; of its embeddings, those that are asked for are read."""

    path: Path
    keys: Keys
    attributes: dict[str, Any]
    dim: int
    """D."""
    _start: int
    """Where the embeddings begin in the file."""
    _state: tuple[int, ...]
    """What the file system said of the file that was checked."""

    @classmethod
    def open(cls, path: Path) -> Shard:
        """Check a shard from end to end, and read its keys.

        Raises:
            OSError: it cannot be read; an `UnreadableError` where it is truncated, damaged, or of
                another format version.
        """
        state = _state(path.stat())
        with open_sealed(path) as file:
            # As they were given: HDF5's numbers are NumPy's.
            attributes = {name: np.asarray(value).item() for name, value in file.attrs.items()}
            if attributes.get("format_version") != FORMAT_VERSION:
                raise UnreadableError(f"format version {attributes.get('format_version')}")
            stored = file["embedding"]
            return cls(
                path, file["key"][()], attributes, stored.shape[1], stored.id.get_offset(), state
            )

    def read(self, rows: Int64[np.ndarray, " m"]) -> Float16[np.ndarray, "m d"]:
        """The embeddings of some rows, in their order.

        The library has no part in it: over a file that was damaged after `open` it may crash or
        never end. A file that is another than the one that was checked is checked anew.

        Raises:
            OSError: as `open`, or it has become another shard.
        """
        result = np.empty((len(rows), self.dim), np.float16)
        with self.path.open("rb") as file:
            if _state(os.fstat(file.fileno())) != self._state:
                return self._opened_again().read(rows)
            for start in range(0, len(self.keys), BLOCK_ROWS):
                here = np.flatnonzero((rows >= start) & (rows < start + BLOCK_ROWS))
                if len(here):
                    block = np.empty((min(BLOCK_ROWS, len(self.keys) - start), self.dim), "<f2")
                    file.seek(self._start + start * block.strides[0])
                    if file.readinto(block.data) < block.nbytes:
                        raise UnreadableError("it is cut short")
                    result[here] = block[rows[here] - start]
        return result

    def _opened_again(self) -> Shard:
        again = Shard.open(self.path)
        if again.attributes != self.attributes or not np.array_equal(again.keys, self.keys):
            raise UnreadableError("it is another one than before")
        return again


def _state(of_file: os.stat_result) -> tuple[int, ...]:
    return of_file.st_dev, of_file.st_ino, of_file.st_size, of_file.st_mtime_ns


def publish_shards(
    folder: Path,
    shards: Iterable[tuple[UInt8[np.ndarray, "_ 32"], Float[np.ndarray, "_ d"]]],
    attributes: Mapping[str, Any],
) -> None:
    """Write shards as 00000.h5, 00001.h5, ... and remove what an older run left beyond them."""
    names = set()
    for number, (keys, embeddings) in enumerate(shards):
        path = folder / f"{number:05d}.h5"
        write_shard(path, keys, embeddings, attributes)
        names.add(path)
    with writing(folder):
        for path in folder.glob("*.h5"):
            if path not in names:
                path.unlink()


@dataclass(frozen=True)
class FeatureStore:
    """The published features of one modality, opened for reading."""

    folder: Path
    _shards: list[Shard]
    _index: KeyIndex

    @classmethod
    def open(cls, folder: Path) -> FeatureStore:
        """Check every shard in `folder`, and read the keys and attributes.

        Raises:
            UserError: if there is no shard, one is damaged, or they are of different encoders.
        """
        with reading(folder, REMEDY):
            paths = sorted(path for path in Path(folder).iterdir() if path.suffix == ".h5")
        if not paths:
            raise UserError(f"{folder} has no feature shards; {REMEDY}")
        shards: list[Shard] = []
        for path in paths:
            with reading(path, REMEDY):
                shards.append(Shard.open(path))
            if shards[-1].attributes != shards[0].attributes:
                raise UserError(
                    f"{path} was written by another encoder than {paths[0].name}; delete {folder} "
                    "and run dvc repro"
                )
        return cls(Path(folder), shards, KeyIndex(*(shard.keys for shard in shards)))

    @property
    def attributes(self) -> dict[str, Any]:
        """As `FrozenClip.settings` wrote them; `FrozenClip.rebuild` makes the encoder from them."""
        return self._shards[0].attributes

    @property
    def keys(self) -> Keys:
        """All keys, in the order of the store."""
        return np.concatenate([shard.keys for shard in self._shards])

    @property
    def dim(self) -> int:
        """D, the width of an embedding."""
        return int(self.attributes["dim"])

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the encoder and its preprocessing."""
        return str(self.attributes["fingerprint"])

    def __len__(self) -> int:
        return sum(len(shard.keys) for shard in self._shards)

    def parts(self) -> Iterator[tuple[Keys, Float16[np.ndarray, "_ d"]]]:
        """All rows, shard by shard.

        Raises:
            UserError: if a shard is no longer readable.
        """
        for shard in self._shards:
            with reading(shard.path, REMEDY):
                embeddings = shard.read(np.arange(len(shard.keys)))
            yield shard.keys, embeddings

    def lookup(self, keys: Sequence[bytes] | Keys) -> Float32[np.ndarray, "n d"]:
        """Embeddings of `keys`, in their order; a key may be asked for more than once.

        Returns:
            The stored float16 values, unit norm to within their rounding.

        Raises:
            UserError: if some keys are not in the store (says how many), or a shard is no longer
                readable.
        """
        rows = self._index.find(keys)
        missing = int(np.count_nonzero(rows < 0))
        if missing:
            raise UserError(
                f"{missing} of {len(rows)} keys are not in {self.folder}; the features are older "
                "than the stories, run dvc repro"
            )
        result = np.empty((len(rows), self.dim), np.float32)
        for number, here, rows_in_shard in self._index.by_part(rows):
            with reading(self._shards[number].path, REMEDY):
                result[here] = self._shards[number].read(rows_in_shard)
        return result
