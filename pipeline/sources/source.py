"""What every source of stories gives: its rows split by split, and where they came from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError, reason
from pipeline.stories.schema import Row, Split

Rows = Callable[[], Iterator[Row]]


@dataclass(frozen=True)
class Source:
    """Stories that were found and whose columns were checked, none of which is read yet."""

    rows: Mapping[Split, Rows]
    """For each split that there is (`train`, and `test` if any), what starts its stream."""
    origin: Callable[[], dict[str, Any]]
    """Where the rows come from, as JSON, to be asked once they are read: equal for equal rows."""


def with_bytes(row: Row, folder: Path | None, where: str) -> Row:
    """Give a row whose images that have a path alone hold the bytes of that file.

    Args:
        row: of `STORY_SCHEMA`'s columns.
        folder: where the data lie, to which paths are relative; None if that is no local folder.
        where: file or dataset and row, for the sentence.

    Raises:
        UserError: if such a path leads out of the folder (`..`, an absolute path or a link to
            elsewhere), is an address, or there is no such file.
    """
    images = [
        image | {"bytes": _read(folder, image["path"], f"{where}: image {number}")}
        if image and image["bytes"] is None and image["path"]
        else image
        for number, image in enumerate(row["images"] or (), start=1)
    ]
    return row if row["images"] is None else row | {"images": images}


def _read(folder: Path | None, path: str, where: str) -> bytes:
    shown = path if len(path) <= 100 else f"{path[:60]} ... {path[-35:]}"
    told = f"{where} has no bytes, only the path {shown!r}"
    if folder is None or "://" in path:
        raise UserError(f"{told}, which is not on this machine; store the bytes in the dataset")
    try:
        place = (folder / path).resolve()
        if not place.is_relative_to(folder.resolve()):
            raise UserError(f"{told}, which leads out of {folder}; put the image beside the data")
        return place.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        said = error.strerror if isinstance(error, OSError) and error.strerror else reason(error)
        raise UserError(
            f"{told}, which cannot be read in {folder} ({said}); put the image there, or store "
            "its bytes in the dataset"
        ) from None
