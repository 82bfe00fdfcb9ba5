"""What is to be embedded, streamed in order from the raw stories and the frames table."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.images.reader import Place, read_images
from pipeline.stories.frames import open_frames


@dataclass(frozen=True)
class RawImage:
    """One encoded image and the frame it belongs to."""

    data: bytes
    key: bytes
    """SHA-256 that the frames table gives for `data`."""
    story_id: str
    frame_index: int


def stream_images(raw: Path, frames: Path, rows: np.ndarray) -> Iterator[RawImage]:
    """The images of some frames, holding no more than one story of a raw file at a time.

    Args:
        raw: folder of the raw stories.
        frames: the frames table, frames.parquet.
        rows: int64 [N], ascending rows of the table.

    Raises:
        UserError: if the raw stories are not those that the table was made from.
    """
    columns = ["image_file", "image_row", "image_index", "image_key", "story_id", "frame_index"]
    records, again = itertools.tee(_stream_rows(frames, columns, rows))
    places = (Place(row["image_file"], row["image_row"], row["image_index"]) for row in records)
    for data, record in zip(read_images(raw, places), again, strict=False):
        yield RawImage(data, record["image_key"], record["story_id"], record["frame_index"])


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
