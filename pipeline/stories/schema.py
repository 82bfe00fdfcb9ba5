"""What a story is on disk: StoryReasoning's parquet schema, written and read in streams.

A raw folder holds `train/00000.parquet`, ... and, where the dataset has one, `test/...`; a row is a
story, its images are encoded bytes (JPEG, PNG, ...) that nobody has decoded. The column `story` is
one text, in which tags mark the frames, or in some files a list with each frame's caption. An image
that could not be read at its source has no bytes, and in place of its path the reason. Beside them
`source.json` says where the stories came from (`origin`).

Source of the schema: https://huggingface.co/datasets/daniel3303/StoryReasoning (arXiv:2505.10292).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.common.errors import UserError, reason
from pipeline.common.files import writing
from pipeline.common.parquet import open_parquet, writing_parquet
from pipeline.stories.columns import CAPTIONS_SCHEMA, check_columns, row_of, story_row
from pipeline.stories.columns import STORY_SCHEMA as STORY_SCHEMA
from pipeline.stories.columns import Row as Row

Split = Literal["train", "test"]
SPLITS: tuple[Split, Split] = ("train", "test")

ROWS_PER_FILE = 256
ROWS_PER_GROUP = 16  # about 200 encoded frames: what a reader holds in memory at a time
BYTES_PER_GROUP = 256 << 20  # where the pictures are large, fewer stories; a single one may be more
GROUPS_OF_BYTES_PER_FILE = 4
MOST_BYTES = (1 << 31) - 1  # of a single story: a column of Arrow's in one piece

# Encoded images do not compress further, and dictionaries over them only cost time.
_COMPRESSION = {
    "story_id": "zstd",
    "images.list.element.bytes": "none",
    "images.list.element.path": "zstd",
    "frame_count": "zstd",
    "chain_of_thought": "zstd",
    "story": "zstd",
    "story.list.element": "zstd",
}


def write_stories(
    rows: Iterable[Row],
    folder: Path,
    rows_per_file: int = ROWS_PER_FILE,
    bytes_per_group: int = BYTES_PER_GROUP,
) -> int:
    """Stream rows into `folder/00000.parquet`, `00001.parquet`, ..., each whole or not there.

    Equal rows give equal bytes. Parquet files of an earlier call are removed, but only once the
    first new row is there: a source that cannot be read leaves the folder as it was. A file is of
    `STORY_SCHEMA` or of `CAPTIONS_SCHEMA`, and ends where stories of the other one begin.

    Args:
        rows: stories with the columns of either; further keys are ignored, and columns that are
            missing are null.
        folder: made if missing; not made when there are no rows at all.
        rows_per_file: stories in one file, at least 1; fewer where they are large.
        bytes_per_group: of images in one row group, which is what is held in memory; a story
            beyond it has a row group of its own.

    Returns:
        The number of stories written.

    Raises:
        UserError: for a row whose values do not fit the schema.
        OSError: if a file cannot be written.
    """
    stream = iter(rows)
    following = next(stream, None)
    with writing(folder):
        for stale in sorted(folder.glob("*.parquet")):
            stale.unlink()
    written = files = 0
    while following is not None:
        schema = _schema(following)
        with writing_parquet(
            folder / f"{files:05d}.parquet",
            schema,
            compression=_COMPRESSION,
            use_dictionary=False,
            write_statistics=False,
        ) as writer:
            rows_left, bytes_left = rows_per_file, GROUPS_OF_BYTES_PER_FILE * bytes_per_group
            while following and _holds(schema, following) and rows_left > 0 and bytes_left > 0:
                group, following = _next_group(
                    following, schema, stream, min(rows_left, ROWS_PER_GROUP), bytes_per_group
                )
                writer.write_table(_table(group, schema, written))
                written += len(group)
                rows_left -= len(group)
                bytes_left -= sum(map(image_bytes, group))
                del group  # before the next is gathered
        files += 1
    return written


def _schema(row: Row) -> pa.Schema:
    return CAPTIONS_SCHEMA if isinstance(row.get("story"), list) else STORY_SCHEMA


def _holds(schema: pa.Schema, row: Row) -> bool:
    return row.get("story") is None or _schema(row) is schema


def _next_group(
    first: Row, schema: pa.Schema, rows: Iterator[Row], most_rows: int, most_bytes: int
) -> tuple[list[Row], Row | None]:
    """Gather one row group, and the row after it, which no longer found room."""
    group, size = [first], image_bytes(first)
    for row in rows:
        size += image_bytes(row)
        if len(group) == most_rows or size > most_bytes or not _holds(schema, row):
            return group, row
        group.append(row)
    return group, None


def image_bytes(row: Row) -> int:
    """The size of what a row holds in images; 0 for values that do not fit the schema."""
    images = row.get("images")
    if not isinstance(images, list):
        return 0
    encoded = [image.get("bytes") for image in images if isinstance(image, dict)]
    return sum(len(data) for data in encoded if isinstance(data, bytes))


def _table(group: list[Row], schema: pa.Schema, before: int) -> pa.Table:
    """Give a row group as a table; `before` counts the rows of earlier ones."""
    if (size := image_bytes(group[0])) > MOST_BYTES:
        raise UserError(
            f"row {before}, story {group[0].get('story_id')}, has {size / 2**30:.1f} GiB of "
            "images, and a story may have 2; make them smaller at their source"
        )
    try:
        return pa.Table.from_pylist(group, schema=schema)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise UserError(
            f"a story among rows {before} to {before + len(group) - 1} does not fit the schema "
            f"({reason(error)}); correct it at its source"
        ) from None


def parquet_files(folder: Path) -> list[Path]:
    """List the parquet files under a folder by name, save those in hidden folders.

    Such are the copies and caches that editors and download tools keep beside the data.
    """
    return sorted(
        path
        for path in folder.rglob("*.parquet")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def story_files(raw: Path) -> list[Path]:
    """List the parquet files under a raw folder in reading order: train, then test, by name.

    Raises:
        UserError: if there is none.
    """
    files = parquet_files(raw)
    if not files:
        raise UserError(
            f"{raw} holds no parquet files; run the download stage (dvc repro download)"
        )

    def order(path: Path) -> tuple[int, str]:
        inside = path.relative_to(raw)
        return (SPLITS.index(inside.parts[0]) if inside.parts[0] in SPLITS else -1, str(inside))

    return sorted(files, key=order)


def count_stories(folder: Path) -> int:
    """Count the stories under a raw folder from the files' footers alone."""
    try:
        return sum(pq.read_metadata(path).num_rows for path in story_files(folder))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{folder} has a file that is no parquet ({reason(error)})") from None


def iter_stories(folder: Path) -> Iterator[tuple[str, int, Row]]:
    """Stream the stories of a raw folder, or of one split of it, holding one in memory at a time.

    Yields:
        The file's path relative to `folder` with forward slashes, the row's number in that file,
        and the row as a dict.

    Raises:
        UserError: for a file that is damaged, is no parquet file or lacks a column.
    """
    for path in story_files(folder):
        name = path.relative_to(folder).as_posix()
        for number, row in enumerate(iter_file(path, "download")):
            yield name, number, row


def iter_file(path: Path, stage: str | None = None) -> Iterator[Row]:
    """Stream the rows of one parquet file of stories as dicts (see `iter_stories`).

    Columns that the file has not, or in other types that hold the same values (`check_columns`),
    come as the schema has them. One story is held at a time, however large its row group.

    Args:
        stage: what wrote the file, for errors; None for a user's own.
    """
    with open_parquet(path, stage) as file:
        check_columns(file.schema_arrow, str(path))
        present = [name for name in STORY_SCHEMA.names if name in file.schema_arrow.names]
        number = 0
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(
                1, row_groups=[group], columns=present, use_threads=False
            ):
                where = f"{path}, row {number}"
                yield story_row(row_of(batch, where), where)
                number += 1
            # Arrow's allocator would keep what it freed: several groups' worth of it.
            pa.default_memory_pool().release_unused()
