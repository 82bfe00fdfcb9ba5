"""What is to be embedded, streamed in order from the raw stories and the frames table."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.stories.frames import open_frames
from pipeline.stories.parquet import open_parquet


@dataclass(frozen=True)
class RawImage:
    """One encoded image and the frame it belongs to."""

    data: bytes
    key: bytes
    """SHA-256 that the frames table gives for `data`."""
    story_id: str
    frame_index: int


def stream_images(raw: Path, frames: Path, rows: np.ndarray) -> Iterator[RawImage]:
    """The images of some frames, holding no more than one row group of a raw file at a time.

    Args:
        raw: folder of the raw stories.
        frames: the frames table, frames.parquet.
        rows: int64 [N], ascending rows of the table.

    Raises:
        UserError: if the raw stories are not those that the table was made from.
    """
    columns = ["image_file", "image_row", "image_index", "image_key", "story_id", "frame_index"]
    reader = _RowGroupReader(raw)
    for record in _stream_rows(frames, columns, rows):
        yield RawImage(
            reader.read(record["image_file"], record["image_row"], record["image_index"]),
            record["image_key"],
            record["story_id"],
            record["frame_index"],
        )


def stream_captions(frames: Path, rows: np.ndarray) -> Iterator[str]:
    """The captions of some frames; `rows` is int64 [N], ascending."""
    for record in _stream_rows(frames, ["caption"], rows):
        yield record["caption"]


def _stream_rows(path: Path, columns: list[str], rows: np.ndarray) -> Iterator[dict]:
    start = 0
    with open_frames(path, columns) as file:
        for batch in file.iter_batches(1024, columns=columns, use_threads=False):
            first, last = np.searchsorted(rows, (start, start + len(batch)))
            if last > first:
                yield from batch.take(pa.array(rows[first:last] - start)).to_pylist()
            start += len(batch)


class _RowGroupReader:
    """Random access to the images of raw files, cheap as long as rows come in order."""

    def __init__(self, raw: Path) -> None:
        self._raw = raw
        self._name = ""
        self._file: pq.ParquetFile | None = None
        self._open_file = ExitStack()
        self._starts = np.zeros(1, np.int64)
        self._group = -1
        self._images: pa.ChunkedArray | None = None

    def read(self, name: str, row: int, index: int) -> bytes:
        """Encoded bytes of image `index` of story `row` in the raw file `name`."""
        file = self._open(name)
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        if group >= file.num_row_groups:
            raise self._stale(name)
        if group != self._group or self._images is None:
            self._images = None  # released before the next is read, so that one is held at a time
            self._images = file.read_row_group(group, columns=["images"], use_threads=False).column(
                "images"
            )
            self._group = group
        images = self._images[row - int(self._starts[group])]
        if index >= len(images):
            raise self._stale(name)
        data: bytes = images[index]["bytes"].as_py()
        return data

    def _open(self, name: str) -> pq.ParquetFile:
        if self._file is None or name != self._name:
            self._open_file.close()
            if not (self._raw / name).is_file():
                raise self._stale(name)
            file = self._open_file.enter_context(open_parquet(self._raw / name, "download"))
            groups = range(file.num_row_groups)
            sizes = [file.metadata.row_group(i).num_rows for i in groups]
            self._starts = np.cumsum([0, *sizes])
            self._file, self._name, self._group, self._images = file, name, -1, None
        return self._file

    def _stale(self, name: str) -> UserError:
        return UserError(
            f"{self._raw / name} is not the file that the frames table was made from; "
            "run the prepare stage again (dvc repro)"
        )
