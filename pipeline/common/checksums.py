"""SHA256SUMS: what a folder holds, so that whoever reads it finds out what has changed since.

The file is the usual one, a line `<SHA-256>  <name>` per file: `sha256sum -c SHA256SUMS` reads it.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.common.errors import UserError
from pipeline.common.files import partial_name, reading, write_bytes, writing

SUMS_FILE = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\\]+)")


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """An empty sibling of `folder` to write files to, put in its place at clean exit.

    It gets a SHA256SUMS of what was written.

    Raises:
        CannotWriteError: the disk is full, read-only or broken, a quota is spent, or the rights
            are missing.
    """
    partial = partial_name(folder)
    with writing(folder):
        try:
            partial.mkdir(parents=True)
            yield partial
            write_sums(partial)
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def write_sums(folder: Path) -> None:
    """Write the SHA256SUMS of all files in `folder`, those in folders below it left out."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS_FILE)
    lines = [f"{_digest(path)}  {path.name}\n" for path in files]
    write_bytes(folder / SUMS_FILE, "".join(lines).encode())


def check_folder(folder: Path, required: Sequence[str], remedy: str) -> None:
    """See that a folder holds what was written: every file that its SHA256SUMS lists.

    Args:
        required: names that must be there and be listed.
        remedy: what makes the folder anew.

    Raises:
        UserError: a file is missing, unreadable, or not the one that was written.
    """
    for name in required:
        with reading(folder / name, remedy), (folder / name).open("rb"):
            pass
    sums = _read_sums(folder / SUMS_FILE, remedy)
    for name in required:
        if name not in sums:
            raise UserError(f"{folder / SUMS_FILE} does not list {name}: {_anew(folder, remedy)}")
    for name in sums:
        _compare(folder / name, sums[name], remedy)


def check_file(path: Path, remedy: str) -> None:
    """See that one file is the one that was written, where a SHA256SUMS beside it says so.

    Raises:
        UserError: it is not, or one of the two cannot be read.
    """
    beside = path.parent / SUMS_FILE
    if beside.is_file():
        sums = _read_sums(beside, remedy)
        if path.name in sums:
            _compare(path, sums[path.name], remedy)


def _compare(path: Path, digest: str, remedy: str) -> None:
    with reading(path, remedy):
        found = _digest(path)
    if found != digest:
        raise UserError(
            f"{path} is not what was written, by its checksum in {SUMS_FILE}: "
            f"{_anew(path.parent, remedy)}"
        )


def _read_sums(path: Path, remedy: str) -> dict[str, str]:
    """Name -> digest."""
    with reading(path, remedy):
        text = path.read_bytes().decode("ascii", "replace")
    found = [_LINE.fullmatch(line) for line in text.split("\n")[:-1]]
    sums = {match[2]: match[1] for match in found if match}
    if not text.endswith("\n") or len(sums) != len(found):
        raise UserError(f"{path} is damaged: {_anew(path.parent, remedy)}")
    return sums


def _anew(folder: Path, remedy: str) -> str:
    # DVC takes a file of unchanged size and date for unchanged, so that it has to go first.
    return f"delete {folder} and {remedy}"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
