"""What a story is on disk: StoryReasoning's parquet schema, written and read in streams.

A raw folder holds `train/00000.parquet`, ... and, where the dataset has one, `test/...`; a row is a
story, its images are encoded bytes (JPEG, PNG, ...) that nobody has decoded.

Source of the schema: https://huggingface.co/datasets/daniel3303/StoryReasoning (arXiv:2505.10292).
"""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.files import replacing, writing

Split = Literal["train", "test"]
SPLITS: tuple[Split, Split] = ("train", "test")

STORY_SCHEMA = pa.schema(
    [
        ("story_id", pa.string()),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
        ("frame_count", pa.int64()),
        ("chain_of_thought", pa.string()),
        ("story", pa.string()),
    ]
)

ROWS_PER_FILE = 256
ROWS_PER_GROUP = 16  # about 200 encoded frames: what a reader holds in memory at a time

# Encoded images do not compress further, and dictionaries over them only cost time.
_COMPRESSION = {
    "story_id": "zstd",
    "images.list.element.bytes": "none",
    "images.list.element.path": "zstd",
    "frame_count": "zstd",
    "chain_of_thought": "zstd",
    "story": "zstd",
}


def write_stories(
    rows: Iterable[dict[str, Any]], folder: Path, rows_per_file: int = ROWS_PER_FILE
) -> int:
    """Stream rows into `folder/00000.parquet`, `00001.parquet`, ..., each whole or not there.

    Equal rows give equal bytes. Parquet files of an earlier call are removed, but only once the
    first new row is there: a source that cannot be read leaves the folder as it was.

    Args:
        rows: stories with the columns of `STORY_SCHEMA`; further keys are ignored.
        folder: made if missing; not made when there are no rows at all.
        rows_per_file: stories in one file, at least 1.

    Returns:
        The number of stories written.

    Raises:
        UserError: for a row whose values do not fit the schema.
    """
    stream = iter(rows)
    first = next(stream, None)
    with writing(folder):
        for stale in sorted(folder.glob("*.parquet")):
            stale.unlink()
    written = files = 0
    while first is not None:
        shard = itertools.chain([first], itertools.islice(stream, rows_per_file - 1))
        with replacing(folder / f"{files:05d}.parquet") as partial:
            written += _write_file(shard, partial, written)
        files += 1
        first = next(stream, None)
    return written


def _write_file(rows: Iterator[dict[str, Any]], path: Path, before: int) -> int:
    """Write one file by row groups and return its number of rows; `before` counts earlier ones."""
    written = 0
    with pq.ParquetWriter(
        path, STORY_SCHEMA, compression=_COMPRESSION, use_dictionary=False, write_statistics=False
    ) as writer:
        while group := list(itertools.islice(rows, ROWS_PER_GROUP)):
            try:
                table = pa.Table.from_pylist(group, schema=STORY_SCHEMA)
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise UserError(
                    f"a story among rows {before + written} to {before + written + len(group) - 1} "
                    f"does not fit the schema ({error}); correct it at its source"
                ) from None
            writer.write_table(table)
            written += len(group)
    return written


def story_files(raw: Path) -> list[Path]:
    """List the parquet files under a raw folder in reading order: train, then test, by name.

    Raises:
        UserError: if there is none.
    """
    files = [path for path in raw.rglob("*.parquet") if not path.name.startswith(".")]
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
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{folder} has a file that is no parquet ({error})") from None


def iter_stories(
    folder: Path, columns: list[str] | None = None
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Stream the stories of a folder, holding a few of them in memory at a time.

    Args:
        folder: a raw folder (with `train/`, `test/`) or one split of it.
        columns: which columns of `STORY_SCHEMA` to read; all of them by default.

    Yields:
        The file's path relative to `folder` with forward slashes, the row's number in that file,
        and the row as a dict.

    Raises:
        UserError: for a file that is no parquet file or lacks a column.
    """
    for path in story_files(folder):
        name = path.relative_to(folder).as_posix()
        for number, row in enumerate(iter_file(path, columns)):
            yield name, number, row


def iter_file(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Stream the rows of one parquet file of stories as dicts (see `iter_stories`)."""
    wanted = list(STORY_SCHEMA.names) if columns is None else columns
    try:
        with pq.ParquetFile(path) as file:
            check_columns(file.schema_arrow, path, wanted)
            # One row group at a time: a wider scan would buffer the groups ahead. One story at a
            # time: more of them may exceed the 2 GiB that Arrow gives in one piece.
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(
                    1, row_groups=[group], columns=wanted, use_threads=False
                ):
                    yield from batch.to_pylist()
                # Arrow's allocator would keep what it freed: several groups' worth of it.
                pa.default_memory_pool().release_unused()
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} cannot be read as parquet ({error}); write it again") from None


def check_columns(found: pa.Schema, path: Path, columns: list[str] | None = None) -> None:
    """See that a parquet file has the columns of the schema, in types that hold the same values.

    Wider or narrower types of the same kind (large strings, 32-bit counts, columns of nulls) pass.

    Raises:
        UserError: naming the file, the column, and the type found and wanted.
    """
    for name in STORY_SCHEMA.names if columns is None else columns:
        if name not in found.names:
            raise UserError(
                f"{path} has no column '{name}'; a file of stories has the columns "
                f"{', '.join(STORY_SCHEMA.names)}"
            )
        wanted = STORY_SCHEMA.field(name).type
        if not _same_kind(found.field(name).type, wanted):
            raise UserError(
                f"{path}: column '{name}' is of type {found.field(name).type}, but stories need "
                f"{wanted}; convert the column"
            )


def _same_kind(found: pa.DataType, wanted: pa.DataType) -> bool:
    kinds = pa.types
    if kinds.is_null(found):
        return True
    if kinds.is_string(wanted):
        return bool(kinds.is_string(found) or kinds.is_large_string(found))
    if kinds.is_integer(wanted):
        return bool(kinds.is_integer(found))
    if kinds.is_binary(wanted):
        return bool(kinds.is_binary(found) or kinds.is_large_binary(found))
    if kinds.is_list(wanted):
        lists = kinds.is_list(found) or kinds.is_large_list(found)
        return bool(lists and _same_kind(found.value_type, wanted.value_type))
    # images: a struct whose `bytes` we read; its `path` is only carried along
    if not kinds.is_struct(found) or found.get_field_index("bytes") < 0:
        return False
    return _same_kind(found.field("bytes").type, wanted.field("bytes").type)
