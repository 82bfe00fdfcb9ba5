"""The table of frames: one row per frame of every story that is used, and where its image lies."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.common.errors import UserError
from pipeline.common.parquet import RowWriter, open_parquet, writing_rows

KEY_BYTES = 32

FRAMES_SCHEMA = pa.schema(
    [
        ("split", pa.string()),  # the dataset's own: train or test
        ("story_id", pa.string()),
        ("frame_index", pa.int32()),  # from 0
        ("n_frames", pa.int32()),  # of the story
        ("caption", pa.string()),
        ("image_file", pa.string()),  # relative to the raw folder
        ("image_row", pa.int32()),  # row in that file
        ("image_index", pa.int32()),  # in the row's list of images
        ("image_key", pa.binary(KEY_BYTES)),
        ("caption_key", pa.binary(KEY_BYTES)),
    ]
)


def content_key(data: bytes) -> bytes:
    """Name content by its SHA-256 (32 bytes): of an image's encoded bytes or a caption's UTF-8."""
    return hashlib.sha256(data).digest()


def read_frames(
    path: Path,
    columns: Sequence[str] | None = None,
    only: Mapping[str, Sequence[Any]] | None = None,
) -> pa.Table:
    """Read the table of frames, in the order of `FRAMES_SCHEMA`'s rows: split, story, frame.

    Args:
        path: what the prepare stage wrote.
        columns: a selection of `FRAMES_SCHEMA`'s columns; all of them by default.
        only: column -> values, one of which a row must have there; all rows by default.

    Raises:
        UserError: if the file is missing, damaged or not a table of frames.
    """
    wanted = list(FRAMES_SCHEMA.names if columns is None else columns)
    only = only or {}
    with open_frames(path, wanted) as file:
        # One group after the other: a scan of the file would hold several of them, unfiltered.
        groups = [_read_group(file, group, wanted, only) for group in range(file.num_row_groups)]
    # Arrow's allocator would keep what it freed, many times the size of the table.
    pa.default_memory_pool().release_unused()
    return pa.concat_tables(groups) if groups else FRAMES_SCHEMA.empty_table().select(wanted)


@contextmanager
def open_frames(path: Path, columns: Sequence[str]) -> Iterator[pq.ParquetFile]:
    """Open the table of frames to read it in parts.

    Raises:
        UserError: if the file is missing, damaged, or lacks one of the columns.
    """
    with open_parquet(path, "prepare") as file:
        if missing := [name for name in columns if name not in file.schema_arrow.names]:
            raise UserError(
                f"{path} has no column {', '.join(missing)}; delete it and run dvc repro prepare"
            )
        yield file


def _read_group(
    file: pq.ParquetFile, group: int, columns: list[str], only: Mapping[str, Sequence[Any]]
) -> pa.Table:
    """Some columns of a row group, of the rows that match."""
    table = file.read_row_group(group, list({*columns, *only}), use_threads=False)
    for name, values in only.items():
        chosen = pa.array(values, FRAMES_SCHEMA.field(name).type)
        table = table.filter(pc.is_in(table.column(name), chosen))
    return table.select(columns)


def writing_frames(path: Path) -> AbstractContextManager[RowWriter]:
    """Open a table of frames for writing; it appears at `path` complete, at clean exit."""
    return writing_rows(path, FRAMES_SCHEMA)
