"""Embeddings that were computed elsewhere, into the encode cache."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.common.errors import UserError, reason
from pipeline.common.files import reading
from pipeline.common.keys import KEY_BYTES, Keys
from pipeline.common.parquet import open_parquet
from pipeline.features.cache import EncodeCache
from pipeline.features.store import SHARD_ROWS, key_array

NORM_TOLERANCE = 2e-3
"""By which a norm may differ from 1: more than float16 rounds a unit vector of any width."""
REMEDY = "give the path of a file that is there"


def import_vectors(
    vectors: Path, keys: Path, attributes: Mapping[str, Any], home: Path
) -> tuple[int, int]:
    """Add vectors of known contents to the cache of the encoder that made them.

    Args:
        vectors: a .npy of [N, D], floating point, unit norm.
        keys: a parquet file with a column `key`: SHA-256 of each content, in hex or 32 bytes.
        attributes: of a store of that encoder: fingerprint, modality, and its settings; `dim` too
            where the width is known.

    Returns:
        Rows in the files, and those that the cache lacked.

    Raises:
        UserError: the two do not fit, are not what is said here, or the cache cannot be written to.
    """
    names, rows = _read_keys(keys), _read_vectors(vectors)
    if len(names) != len(rows):
        raise UserError(f"{keys} has {len(names)} keys and {vectors} {len(rows)} rows: one each")
    settings = {name: value for name, value in attributes.items() if name not in _OF_A_FILE}
    fingerprint = settings.pop("fingerprint")
    modality = settings.pop("modality")
    cache = EncodeCache(modality, fingerprint, home, settings or None)
    width = attributes.get("dim") or _width(cache)
    if width and rows.shape[1] != width:
        raise UserError(f"{vectors} is {rows.shape[1]} wide, and the encoder's vectors {width}")
    starts = range(0, len(rows), SHARD_ROWS)
    for start in starts:
        _check(rows[start : start + SHARD_ROWS], start, vectors)
    missing = np.flatnonzero(~cache.readable(names))
    for start in range(0, len(missing), SHARD_ROWS):
        some = missing[start : start + SHARD_ROWS]
        cache.add(names[some], np.asarray(rows[some], np.float32))
    return len(rows), len(missing)


_OF_A_FILE = ("format_version", "dim", "dtype")


def _width(cache: EncodeCache) -> int | None:
    for name in cache.files():
        with reading(cache.folder / name, REMEDY):
            return cache.open_chunk(cache.folder / name)[1].dim
    return None


def _read_vectors(path: Path) -> np.ndarray:
    try:
        with reading(path, REMEDY):
            rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(f"{path} is no .npy file of numbers ({reason(error)})") from error
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind != "f":
        raise UserError(f"{path} has to be one .npy array of N x D floating-point numbers")
    return rows


def _read_keys(path: Path) -> Keys:
    with open_parquet(path) as file:
        if "key" not in file.schema_arrow.names:
            raise UserError(f"{path} has no column key")
        column = file.read(["key"]).column(0)
    given = [_key(value, row, path) for row, value in enumerate(column.to_pylist())]
    again, count = Counter(given).most_common(1)[0] if given else (b"", 0)
    if count > 1:
        raise UserError(f"{path} has the key {again.hex()} more than once")
    return key_array(pa.array(given, pa.binary(KEY_BYTES)))


def _key(value: Any, row: int, path: Path) -> bytes:
    try:
        key = bytes.fromhex(value) if isinstance(value, str) else value
    except ValueError:
        key = None
    if not isinstance(key, bytes) or len(key) != KEY_BYTES:
        raise UserError(f"{path}, row {row}: the key is no SHA-256, 64 letters of hex or 32 bytes")
    return key


def _check(rows: np.ndarray, start: int, path: Path) -> None:
    norms = np.linalg.norm(np.asarray(rows, np.float32), axis=1)
    bad = np.flatnonzero(~(np.abs(norms - 1) <= NORM_TOLERANCE))  # NaN compares as false
    if len(bad):
        raise UserError(
            f"{path}, row {start + bad[0]}: its norm is {norms[bad[0]]:.4g}; vectors have to be "
            "finite and of norm 1"
        )
