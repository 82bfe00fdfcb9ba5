"""The feature store: HDF5 shards of content keys and embeddings.

A shard holds `key` (N x 32 uint8, SHA-256 of the content) and `embedding` (N x D float16, unit
norm), both contiguous, and says in its attributes which encoder wrote it. Before all this stands
its SHA-256 (`hdf5.py`). The bytes of a shard are a function of its rows and attributes alone: no
time stamps, one fixed file format version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.common.errors import UserError
from pipeline.common.files import reading, write_bytes, writing
from pipeline.common.hdf5 import UnreadableError, open_sealed, sealed_bytes

FORMAT_VERSION = 2
SHARD_ROWS = 8192
BLOCK_ROWS = 1024
"""Rows of a shard that are read at a time."""
KEY_BYTES = 32


class UnreadableShardError(Exception):
    """A file that is no complete shard; the message says why."""


def key_array(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A column of 32-byte keys as uint8 [N, 32]."""
    return as_keys(column.to_pylist())


def as_keys(keys: Sequence[bytes] | np.ndarray) -> np.ndarray:
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
    """Finds keys among N known ones by binary search; of equal known keys the first counts."""

    def __init__(self, keys: np.ndarray) -> None:
        """Index uint8 [N, 32]."""
        flat = _flat(keys)
        self._order = np.argsort(flat, kind="stable")
        self._sorted = flat[self._order]

    def find(self, keys: Sequence[bytes] | np.ndarray) -> np.ndarray:
        """Row of each key among the known ones, or -1: int64 [len(keys)]."""
        wanted = _flat(as_keys(keys))
        if len(self._sorted) == 0:
            return np.full(len(wanted), -1, np.int64)
        place = np.searchsorted(self._sorted, wanted).clip(max=len(self._sorted) - 1)
        return np.where(self._sorted[place] == wanted, self._order[place], -1)


def _flat(keys: np.ndarray) -> np.ndarray:
    # NumPy drops trailing zero bytes of S32 when it compares, on both sides alike, so that keys of
    # one length are equal exactly if their bytes are.
    flat: np.ndarray = np.ascontiguousarray(keys).view(f"S{KEY_BYTES}").reshape(-1)
    return flat


def write_shard(
    path: Path, keys: np.ndarray, embeddings: np.ndarray, attributes: Mapping[str, Any]
) -> None:
    """Write one shard; it appears under its name when it is complete and flushed.

    Args:
        path: its final name.
        keys: uint8 [N, 32].
        embeddings: [N, D], unit norm; stored as float16.
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


def read_shard(
    path: Path, rows: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Read one shard and check it whole, but hold no more of it than is asked for.

    Args:
        path: its name.
        rows: int64 [M], the rows whose embeddings are wanted, in any order; None for all N.

    Returns:
        keys uint8 [N, 32], embeddings float16 [M, D], and the attributes.

    Raises:
        UnreadableShardError: if the file is truncated, damaged, or of another format version.
    """
    try:
        with open_sealed(path) as file:
            attributes = dict(file.attrs)
            if attributes.get("format_version") != FORMAT_VERSION:
                raise UnreadableError(f"format version {attributes.get('format_version')}")
            keys, stored = file["key"][()], file["embedding"]
            wanted = np.arange(len(stored)) if rows is None else rows
            embeddings = np.empty((len(wanted), *stored.shape[1:]), stored.dtype)
            for start in range(0, len(stored) if len(wanted) else 0, BLOCK_ROWS):
                block = stored[start : start + BLOCK_ROWS]
                here = np.flatnonzero((wanted >= start) & (wanted < start + len(block)))
                embeddings[here] = block[wanted[here] - start]
    except (OSError, UnreadableError) as error:
        raise UnreadableShardError(str(error).splitlines()[0]) from error
    return keys, embeddings, attributes


def publish_shards(
    folder: Path, shards: Iterable[tuple[np.ndarray, np.ndarray]], attributes: Mapping[str, Any]
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
    attributes: dict[str, Any]
    """As `FrozenClip.settings` wrote them; `FrozenClip.rebuild` makes the encoder from them."""
    keys: np.ndarray
    """uint8 [N, 32], in the order of the store."""
    _shards: list[Path]
    _starts: np.ndarray
    _index: KeyIndex

    @classmethod
    def open(cls, folder: Path) -> FeatureStore:
        """Read the keys and attributes of every shard in `folder`.

        Raises:
            UserError: if there is no shard, one is damaged, or they are of different encoders.
        """
        with reading(folder, "run the embed stages (dvc repro)"):
            paths = sorted(path for path in Path(folder).iterdir() if path.suffix == ".h5")
        if not paths:
            raise UserError(f"{folder} has no feature shards; run the embed stages (dvc repro)")
        keys: list[np.ndarray] = []
        attributes: dict[str, Any] = {}
        for path in paths:
            try:
                shard_keys, _, shard_attributes = read_shard(path, np.empty(0, np.int64))
            except UnreadableShardError as error:
                raise UserError(
                    f"{path} cannot be read ({error}); delete {folder} and run dvc repro"
                ) from error
            if attributes and shard_attributes != attributes:
                raise UserError(
                    f"{path} was written by another encoder than {paths[0].name}; delete {folder} "
                    "and run dvc repro"
                )
            attributes = shard_attributes
            keys.append(shard_keys)
        starts = np.cumsum([0] + [len(part) for part in keys])
        every = np.concatenate(keys)
        return cls(Path(folder), attributes, every, paths, starts, KeyIndex(every))

    @property
    def dim(self) -> int:
        """D, the width of an embedding."""
        return int(self.attributes["dim"])

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the encoder and its preprocessing."""
        return str(self.attributes["fingerprint"])

    @property
    def model(self) -> str:
        """The folder or Hub id of the CLIP model."""
        return str(self.attributes["model"])

    @property
    def revision(self) -> str | None:
        """The Hub revision, if one was given."""
        return str(self.attributes["revision"]) or None

    def __len__(self) -> int:
        return len(self.keys)

    def lookup(self, keys: Sequence[bytes] | np.ndarray) -> np.ndarray:
        """Embeddings of `keys`, in their order; a key may be asked for more than once.

        Args:
            keys: N times 32 bytes, or uint8 [N, 32].

        Returns:
            float32 [N, D]: the stored float16 values, unit norm to within their rounding.

        Raises:
            UserError: if some keys are not in the store; says how many.
        """
        rows = self._index.find(keys)
        missing = int(np.count_nonzero(rows < 0))
        if missing:
            raise UserError(
                f"{missing} of {len(rows)} keys are not in {self.folder}; the features are older "
                "than the stories, run dvc repro"
            )
        result = np.empty((len(rows), self.dim), np.float32)
        shard_of = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(shard_of):
            here = np.flatnonzero(shard_of == number)
            _, result[here], _ = read_shard(self._shards[number], rows[here] - self._starts[number])
        return result
