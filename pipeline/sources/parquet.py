"""Parquet files of one's own stories as a source."""

import glob
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError
from pipeline.common.parquet import open_parquet
from pipeline.sources.files import with_bytes
from pipeline.sources.source import Rows, Source
from pipeline.stories.columns import check_columns
from pipeline.stories.schema import SPLITS, Row, Split, iter_file, parquet_files

# What names a split in the files of the Hub.
_SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}


def parquet_stories(train: str, test: str | None) -> Source:
    """Open parquet files of stories; the columns of every file are checked before any is read.

    Args:
        train: a folder, a file or a glob. Hidden folders in a folder are left alone.
        test: the same, or None if there are no stories for testing.

    Returns:
        Their rows, files in the order of their names. The origin lists the files that were read,
        each with its size and SHA-256.

    Raises:
        UserError: if there is no such file, one is named as another split's, one is in both
            splits, or one lacks a column, naming file and column.
    """
    places = {split: place for split, place in zip(SPLITS, (train, test), strict=True) if place}
    files = {split: _files(split, place) for split, place in places.items()}
    both = set(map(Path.resolve, files["train"])) & set(map(Path.resolve, files.get("test", [])))
    if both:
        raise UserError(
            f"dataset.parquet: {min(both)} is in train and in test; a story can be in one of them"
        )
    for path in (path for paths in files.values() for path in paths):
        with open_parquet(path) as file:
            check_columns(file.schema_arrow, str(path))

    read: list[dict[str, Any]] = []

    def rows_of(split: Split) -> Rows:
        def rows() -> Iterator[Row]:
            for path in files[split]:
                read.append(_identity(split, path))
                for row in iter_file(path):
                    yield with_bytes(row, path.parent)

        return rows

    return Source(
        {split: rows_of(split) for split in files}, lambda: {"source": "parquet", "files": read}
    )


def _files(split: str, place: str) -> list[Path]:
    """Find the files of a split, and see that no name says that they are another's."""
    folder = Path(place)
    foreign_words = _foreign_words(split)
    if folder.is_dir():
        files = parquet_files(folder)
        names = [path.relative_to(folder).as_posix() for path in files]
    else:
        found = [place] if folder.is_file() else glob.glob(place, recursive=True)
        files = sorted(path for path in map(Path, found) if path.is_file())
        names = [path.name for path in files]
        foreign_words -= _words(folder.name)  # what the file or the glob itself says is meant
    if not files:
        raise UserError(
            f"dataset.parquet.{split}: no parquet files at {place}; give a folder, a file or a glob"
        )
    foreign = [name for name in names if _words(name) & foreign_words]
    if foreign:
        more = f" and {len(foreign) - 2} more" if len(foreign) > 2 else ""
        raise UserError(
            f"dataset.parquet.{split}: {place} holds files of another split by their names, "
            f"{', '.join(foreign[:2])}{more}; give a glob of the {split} files alone, such as "
            f"{split}-*.parquet"
        )
    return files


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z]+", name.lower()))


def _foreign_words(split: str) -> set[str]:
    return {word for other, words in _SPLIT_WORDS.items() if other != split for word in words}


def _identity(split: str, path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"split": split, "name": path.name, "bytes": file.tell(), "sha256": digest}
