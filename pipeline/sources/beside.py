"""Images that a dataset gives by their path: read where they lie beside the data."""

from pathlib import Path

from pipeline.sources.files import Files, show, unread
from pipeline.stories.schema import Row


def with_bytes(row: Row, folder: Path | None) -> Row:
    """Give a row whose images that have a path alone hold the bytes of that file.

    One that cannot be had says why in place of its path (`unread`): it leads out of the folder, is
    an address, or there is no such file.

    Args:
        row: of `STORY_SCHEMA`'s columns.
        folder: where the data lie, to which paths are relative; None if that is no local folder.

    Raises:
        UserError: if the disk fails.
    """
    images = [
        _read(folder, image["path"])
        if image and image["bytes"] is None and image["path"]
        else image
        for image in row["images"] or ()
    ]
    return row if row["images"] is None else row | {"images": images}


def _read(folder: Path | None, path: str) -> Row:
    if folder is None:
        return unread(f"{show(path)} is not on this machine; store the bytes in the dataset")
    return Files(folder).read_image(path)
