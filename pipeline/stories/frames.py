"""The table of frames: one row per frame of every story that is used, and where its image lies."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.common.errors import UserError
from pipeline.common.parquet import open_parquet, writing_parquet

KEY_BYTES = 32
ROWS_PER_TABLE = 256
TABLES_PER_GROUP = 16
ROWS_PER_GROUP = ROWS_PER_TABLE * TABLES_PER_GROUP

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


class FrameWriter:
    """Collects rows of `FRAMES_SCHEMA` and writes them by row groups of a fixed size.

    Most of what waits for its group waits in columns: as dicts, the rows of one group would be the
    largest thing that the prepare stage holds.
    """

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._rows: list[dict[str, Any]] = []
        self._tables: list[pa.Table] = []  # of ROWS_PER_TABLE rows each

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Take the rows of one story."""
        self._rows.extend(rows)
        while len(self._rows) >= ROWS_PER_TABLE:
            self._tables.append(_table(self._rows[:ROWS_PER_TABLE]))
            self._rows = self._rows[ROWS_PER_TABLE:]
            if len(self._tables) == TABLES_PER_GROUP:
                self._write()

    def finish(self) -> None:
        """Write what is left."""
        if self._rows:
            self._tables.append(_table(self._rows))
            self._rows = []
        if self._tables:
            self._write()

    def _write(self) -> None:
        # In one piece: the pages of a row group would otherwise end where a table ends.
        self._writer.write_table(pa.concat_tables(self._tables).combine_chunks())
        self._tables = []


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=FRAMES_SCHEMA)


@contextmanager
def writing_frames(path: Path) -> Iterator[FrameWriter]:
    """Open a table of frames for writing; it appears at `path` complete, at clean exit."""
    with writing_parquet(path, FRAMES_SCHEMA, compression="zstd") as parquet:
        writer = FrameWriter(parquet)
        yield writer
        writer.finish()
