"""The table of frames: one row per frame of every story that is used, and where its image lies."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.files import replacing

KEY_BYTES = 32
ROWS_PER_GROUP = 4096

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
    filters: list[tuple[str, str, Any]] | None = None,
) -> pa.Table:
    """Read the table of frames, in the order of `FRAMES_SCHEMA`'s rows: split, story, frame.

    Args:
        path: what the prepare stage wrote.
        columns: a selection of `FRAMES_SCHEMA`'s columns; all of them by default.
        filters: conditions that rows must all meet, as (column, operator, value).

    Raises:
        UserError: if the file is missing or is not a table of frames.
    """
    wanted = list(FRAMES_SCHEMA.names if columns is None else columns)
    try:
        found = pq.read_schema(path).names
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run the prepare stage (dvc repro prepare)") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} cannot be read as parquet ({error}); run prepare again") from None
    if missing := [name for name in wanted if name not in found]:
        raise UserError(f"{path} has no column {', '.join(missing)}; run the prepare stage again")
    return pq.read_table(path, columns=wanted, filters=filters, partitioning=None)


class FrameWriter:
    """Collects rows of `FRAMES_SCHEMA` and writes them by row groups of a fixed size."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._rows: list[dict[str, Any]] = []

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Take the rows of one story."""
        self._rows.extend(rows)
        while len(self._rows) >= ROWS_PER_GROUP:
            self._write(self._rows[:ROWS_PER_GROUP])
            self._rows = self._rows[ROWS_PER_GROUP:]

    def finish(self) -> None:
        """Write what is left."""
        if self._rows:
            self._write(self._rows)
            self._rows = []

    def _write(self, rows: list[dict[str, Any]]) -> None:
        self._writer.write_table(pa.Table.from_pylist(rows, schema=FRAMES_SCHEMA))


@contextmanager
def writing_frames(path: Path) -> Iterator[FrameWriter]:
    """Open a table of frames for writing; it appears at `path` complete, at clean exit."""
    with (
        replacing(path) as partial,
        pq.ParquetWriter(partial, FRAMES_SCHEMA, compression="zstd") as parquet,
    ):
        writer = FrameWriter(parquet)
        yield writer
        writer.finish()
