"""Many small chunk files of the encode cache into few, whatever kills it on the way."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.common.chunk_index import warn
from pipeline.common.chunks import chunk_name
from pipeline.common.errors import UserError
from pipeline.common.files import reading, writing
from pipeline.common.locks import claim_outputs
from pipeline.features.cache import EncodeCache
from pipeline.features.store import SHARD_ROWS, Shard
from pipeline.upkeep.inventory import Encoder

SMALL_ROWS = SHARD_ROWS // 2
"""A file of more is left as it is."""


def compact(encoder: Encoder) -> Iterator[tuple[int, Path]]:
    """Copy small files into ones of up to SHARD_ROWS rows, and remove them then.

    Files that were written one after the other stay together: they are of one dataset. A new file
    is flushed and read back before the first of the old ones goes, so that at every moment each row
    is in a whole file. A row that several files hold is kept once. Damaged files are left alone.
    Another process that removes files of the encoder is waited for.

    Yields:
        How many files became one, and that one; or the last of them, if others held all its rows.

    Raises:
        UserError: if the cache cannot be written to, or the other process takes long.
    """
    claim_outputs(encoder.folder)
    cache = encoder.cache()
    for paths in _groups(encoder, cache.files()):
        shards = list(_whole(cache, paths))
        if len(shards) > 1:
            yield len(shards), _joined(cache, shards)


def _joined(cache: EncodeCache, shards: list[Shard]) -> Path:
    for shard in shards:
        cache.leave_out(shard.path.name)
    keys = np.concatenate([shard.keys for shard in shards])
    with reading(cache.folder, "run it again"):
        vectors = np.concatenate([shard.read(np.arange(len(shard.keys))) for shard in shards])
    _, first = np.unique(keys, axis=0, return_index=True)
    rows = np.sort(first)
    rows = rows[~cache.readable(keys[rows])]  # what no other file holds
    new = shards[-1].path
    if len(rows):
        cache.add(keys[rows], vectors[rows])
        new = cache.folder / chunk_name(keys[rows])
        _, written = cache.open_chunk(new)
        if not np.array_equal(written.read(np.arange(len(rows))), vectors[rows]):
            raise UserError(f"{new} does not hold what was written to it: no file was removed")
    with writing(new):
        for shard in shards:
            if shard.path != new or not len(rows):
                shard.path.unlink(missing_ok=True)
    return new


def _groups(encoder: Encoder, rows: dict[str, int]) -> Iterator[list[Path]]:
    """Small files, the oldest first, as many together as fit into one."""
    group: list[Path] = []
    total = 0
    for path in encoder.files():
        count = rows.get(path.name, SHARD_ROWS)
        if count > SMALL_ROWS:
            continue
        if total + count > SHARD_ROWS:
            yield group
            group, total = [], 0
        group.append(path)
        total += count
    yield group


def _whole(cache: EncodeCache, paths: list[Path]) -> Iterator[Shard]:
    for path in paths:
        try:
            yield cache.open_chunk(path)[1]
        except FileNotFoundError:
            continue
        except OSError as error:
            warn(path, error)
