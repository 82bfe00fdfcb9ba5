"""A dataset's own files in a folder: read within it alone, and summed up for `source.json`."""

import errno
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError, reason
from pipeline.stories.schema import Row

MOST_IMAGE_BYTES = 1 << 30
MOST_TEXT_BYTES = 64 << 20
LONGEST_NAME = 100  # characters, in a sentence

FAULTS_OF_A_DISK = {errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""What says nothing about a file: to go on would set sound stories aside."""


class UnreadableError(Exception):
    """A file of a story that cannot be had: which and why, for the quarantine."""


class Files:
    """The files of one folder, and what was read of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._resolved = folder.resolve()
        self._read = self._bytes = 0
        self._digest = hashlib.sha256()

    def read(self, name: str, most_bytes: int = MOST_IMAGE_BYTES) -> bytes:
        """Read a file of the folder, or of one below it.

        Args:
            name: relative to the folder, or its absolute path.
            most_bytes: size above which it is not read.

        Raises:
            UnreadableError: it is not there or no file, may not be read, is too large, or leads out
                of the folder (`..`, an absolute path or a link to elsewhere).
            UserError: the disk fails.
        """
        with self._at(name) as place:
            size = place.stat().st_size
            if not place.is_file():  # a pipe or a device may never end
                raise UnreadableError(f"{show(name)} is no file")
            if size > most_bytes:
                raise UnreadableError(f"{show(name)} is larger than {most_bytes >> 20} MiB")
            data = place.read_bytes()
        self._add(place, len(data), hashlib.sha256(data).digest())
        return data

    def read_text(self, name: str) -> str:
        """Read a text file. Raises as `read`, and UnreadableError for text that is not UTF-8."""
        try:
            return self.read(name, MOST_TEXT_BYTES).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UnreadableError(f"{show(name)} is not UTF-8 text") from None

    def read_image(self, name: str) -> Row:
        """Read a file as an image of `STORY_SCHEMA`; see `unread` for one that cannot be had."""
        try:
            return {"bytes": self.read(name), "path": as_text(name)}
        except UnreadableError as error:
            return unread(error)

    def names(self, name: str, folders: bool) -> list[str]:
        """Names of the files, or of the folders, in a folder: in natural order, without the hidden.

        Raises as `read`.
        """
        with self._at(name) as place, os.scandir(place) as entries:
            found = [
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir() == folders
            ]
        return sorted(found, key=natural)

    def digest(self, path: Path) -> None:
        """Add a large file, which is read elsewhere, to what was read."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            self._add(path.resolve(), file.tell(), digest)

    def origin(self) -> dict[str, Any]:
        """What was read, for `source.json`: files and bytes, and a SHA-256 of names and contents.

        One for all of them: a list would grow with the dataset.
        """
        digest = self._digest.hexdigest()
        return {"files_read": self._read, "bytes": self._bytes, "sha256": digest}

    @contextmanager
    def _at(self, name: str) -> Iterator[Path]:
        """A place within the folder, and what keeps the body from reading it in a sentence."""
        shown = show(name)
        try:
            place = (self.folder / name).resolve()
            if "://" in name:
                raise UnreadableError(f"{shown} is an address, not a file of this machine")
            if not place.is_relative_to(self._resolved):
                raise UnreadableError(f"{shown} leads out of the dataset's folder")
            yield place
        except OSError as error:
            why = error.strerror or reason(error)
            if error.errno in FAULTS_OF_A_DISK:
                where = self.folder / shown
                raise UserError(f"{where} cannot be read ({why}); run the same again") from None
            raise UnreadableError(f"{shown} cannot be read ({why})") from None
        except (ValueError, RuntimeError) as error:  # a NUL in the path, links in a circle
            raise UnreadableError(f"{shown} cannot be read ({show(reason(error))})") from None

    def _add(self, place: Path, size: int, digest: bytes) -> None:
        self._read += 1
        self._bytes += size
        name = os.fsencode(place.relative_to(self._resolved).as_posix())
        self._digest.update(b"%d %d %s%s" % (len(name), size, name, digest))


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


def unread(why: object) -> Row:
    """An image that could not be read: no bytes, and in place of its path the reason."""
    return {"bytes": None, "path": str(why)}


def show(name: str) -> str:
    """A name fit for a sentence: on one line, short, odd characters escaped."""
    legible = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in name)
    if len(legible) <= LONGEST_NAME:
        return legible
    return f"{legible[: LONGEST_NAME // 2]} ... {legible[-LONGEST_NAME // 3 :]}"


def as_text(name: str) -> str:
    """A name as UTF-8 can hold it: bytes of a file's name that are none, and halves, escaped."""
    return name.encode(errors="backslashreplace").decode()


def natural(name: str) -> tuple[list[str | int], str]:
    """Sorts names as people count: numbers in them by value, case aside."""
    parts = re.split("([0-9]+)", unicodedata.normalize("NFC", name).casefold())
    return [int(part) if n % 2 else part for n, part in enumerate(parts)], name


def is_text(value: object) -> bool:
    """Whether a value is text that UTF-8 can hold: JSON can spell half a character."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain_story(story_id: str, frames: list[tuple[Row, str | None]]) -> Row:
    """A row of `CAPTIONS_SCHEMA` of images and captions."""
    return {
        "story_id": story_id,
        "images": [image for image, _ in frames],
        "frame_count": len(frames),
        "chain_of_thought": None,
        "story": [caption for _, caption in frames],
    }
