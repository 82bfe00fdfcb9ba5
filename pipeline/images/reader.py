"""Encoded images by their place in the raw stories: the only reader of them."""

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.common.errors import UserError
from pipeline.common.parquet import open_parquet
from pipeline.images.pixels import decode


@dataclass(frozen=True, order=True)
class Place:
    """Where an encoded image lies: file under the raw folder, row in it, index in its list."""

    file: str
    row: int
    index: int


def read_images(raw: Path, places: Iterable[Place]) -> Iterator[bytes]:
    """Read the images at some places, in the order of the places.

    In the order of the files that is one pass over them; any other order reads some rows anew. One
    story is held at a time and never a row group, whose images may be more than Arrow gives in one
    piece (2 GiB) or than there is memory for.

    Args:
        raw: folder of the raw stories.
        places: taken one by one, as images are asked for.

    Yields:
        The bytes of the image's file.

    Raises:
        UserError: if a file, a row or an image is not there, or a file cannot be read.
    """
    for name, here in itertools.groupby(places, lambda place: place.file):
        path = raw / name
        with open_parquet(path, "download") as file:
            yield from _read_file(file, path, here)


def read_pictures(raw: Path, places: Sequence[Place]) -> Iterator[Image.Image]:
    """Decode the images at some places: each as `pixels.decode` gives it.

    Raises:
        UserError: as `read_images`, or if an image cannot be decoded.
    """
    for place, encoded in zip(places, read_images(raw, places), strict=True):
        try:
            yield decode(encoded)
        except UserError as error:
            where = f"{raw / place.file}, image {place.index} of row {place.row}"
            raise UserError(f"{where}: {error}; run dvc repro to set its story aside") from error


def _read_file(file: pq.ParquetFile, path: Path, places: Iterable[Place]) -> Iterator[bytes]:
    sizes = (file.metadata.row_group(group).num_rows for group in range(file.num_row_groups))
    starts = list(itertools.accumulate(sizes, initial=0))
    stories: Iterator[pa.RecordBatch] = iter(())
    at, images = -1, None  # the row read last, and its images
    for place in places:
        group = bisect.bisect_right(starts, place.row) - 1
        if place.row != at and group < file.num_row_groups:
            if not starts[group] <= at < place.row:
                stories = file.iter_batches(
                    1, row_groups=[group], columns=["images"], use_threads=False
                )
                at = starts[group] - 1
            for story in itertools.islice(stories, place.row - at):
                images = story.column(0)[0].values
            at = place.row
        here = images if at == place.row and images is not None else ()
        encoded = here[place.index]["bytes"].as_py() if place.index < len(here) else None
        if encoded is None:
            raise UserError(
                f"{path} has no image {place.index} in row {place.row}: it is not the file that "
                "the frames table was made from; run dvc repro"
            )
        yield encoded
