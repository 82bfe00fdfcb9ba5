"""Files that appear whole or not at all, what stops them in one sentence, and JSON on top."""

import errno
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError, reason

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What a file system answers that takes no more: nothing but writing can meet these."""
REFUSED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENAMETOOLONG, errno.ENOTDIR),
    *(errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY, errno.ELOOP, errno.EBUSY, errno.ESTALE),
    *(errno.EMFILE, errno.ENFILE, errno.ENXIO, errno.ENODEV),
}
"""What else keeps a file from being written without a fault of ours."""
_PARTIAL = re.compile(r"\.(.+)\.\d+-[0-9a-f]{8}\.partial")


class CannotWriteError(UserError):
    """A file or folder that the disk or its rights keep from being written."""


class UnreadableError(OSError):
    """A file with other bytes than those that were written; the message says in which way."""


@contextmanager
def writing(path: Path, size: int | None = None) -> Iterator[None]:
    """Say in one sentence what stops the body from writing `path`, a file or folder.

    Args:
        size: bytes that it is going to have, where that is known.

    Raises:
        CannotWriteError: the disk is full, read-only or broken, a quota is spent, or the rights
            are missing.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        number = _errno(error)
        ours = number in NO_ROOM or (number in REFUSED and _concerns(error, path))
        if number is None or not ours:
            raise
        raise CannotWriteError(_sentence(path, number, size)) from error


def _errno(error: Exception) -> int | None:
    """The system's number of an error; libraries in Rust and C pass it on as text alone."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = re.search(r"os error (\d+)|errno = (\d+)", str(error))
    return int(found[1] or found[2]) if found else None


def _concerns(error: Exception, path: Path) -> bool:
    """Whether an error is about `path`, what lies in it or beside it, or a folder above."""
    name = getattr(error, "filename", None)
    if not isinstance(name, str | os.PathLike):
        return True
    named, folder = Path(name).absolute(), Path(path).absolute().parent
    return named.is_relative_to(folder) or folder.is_relative_to(named)


def _sentence(path: Path, number: int, size: int | None) -> str:
    room = [] if size is None else [f"{_bytes(size)} needed"]
    if number == errno.ENOSPC:
        folder = next(f for f in Path(path).absolute().parents if f.is_dir())
        free = shutil.disk_usage(folder).free
        room.append(f"{_bytes(free)} free" + (", which is not enough" if size is None else ""))
    shown = Path(*(_PARTIAL.sub(r"\1", part) for part in Path(path).parts))
    said = os.strerror(number).lower() + (f": {', '.join(room)}" if room else "")
    advice = "make room there" if number in NO_ROOM else "make it a place to write in"
    return f"{shown} cannot be written ({said}); {advice}, and run the same again"


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


@contextmanager
def replacing(path: Path, size: int | None = None) -> Iterator[Path]:
    """Give a temporary sibling of `path` to write to, and put it in place of `path` at clean exit.

    The sibling is hidden and ends in `.partial`, in the same folder so that the rename is atomic.
    It is flushed to disk before the rename; missing parent folders are made. Who may read the file
    is as the process's umask says, however the body made it. After an exception the sibling is
    removed and `path` is as it was.

    Args:
        size: bytes that the file is going to have, where that is known.

    Raises:
        CannotWriteError: as of `writing`.
        FileNotFoundError: if the body finished without writing the file.
    """
    path = Path(path)
    partial = partial_name(path)
    with writing(path, size):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Some writers make private files of their own: what is usual here shows in a new one.
            partial.touch(exist_ok=False)
            mode = stat.S_IMODE(partial.stat().st_mode)
            partial.unlink()
            yield partial
            partial.chmod(mode)
            with partial.open("rb+") as written:
                os.fsync(written.fileno())
            os.replace(partial, path)
            _sync_folder(path.parent)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def partial_name(path: Path) -> Path:
    """A hidden sibling of `path` that no other process uses, not even one of another machine."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` outlive a loss of power, where the platform can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems refuse to sync a folder; the rename itself holds
        pass
    finally:
        os.close(descriptor)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` in one atomic step. Raises CannotWriteError as `replacing` does."""
    with replacing(path, len(data)) as partial:
        partial.write_bytes(data)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as UTF-8 JSON, indented by two, keys in the given order, in one atomic step.

    Raises:
        ValueError: for NaN or infinity, which JSON cannot hold.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, f"{text}\n".encode())


@contextmanager
def jsonl_writer(path: Path) -> Iterator[Callable[[Any], None]]:
    """Give a function that writes one compact JSON document as a line; the file appears at the end.

    Raises:
        CannotWriteError: as of `replacing`.
        ValueError: for NaN or infinity, which JSON cannot hold.
    """
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as lines:

        def write(row: Any) -> None:
            lines.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")

        yield write


@contextmanager
def reading(path: Path, remedy: str, if_damaged: str | None = None) -> Iterator[None]:
    """Say in one sentence why the body cannot read `path`.

    Args:
        remedy: what brings a missing file back.
        if_damaged: what helps over an `UnreadableError`; by default to delete the file first.

    Raises:
        UserError: `path` is missing, damaged, may not be read, or the disk fails.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} is missing; {remedy}") from None
    except PermissionError:
        raise UserError(f"{path} may not be read by this user; give it the right to") from None
    except UnreadableError as error:
        remedy = if_damaged or f"delete it and {remedy}"
        raise UserError(f"{path} cannot be read ({reason(error)}); {remedy}") from error
    except OSError as error:
        why = error.strerror or reason(error)
        raise UserError(f"{path} cannot be read ({why}); {remedy}") from error


def read_json(path: Path, remedy: str = "run the stage that writes it (dvc repro)") -> Any:
    """Read one JSON file; `remedy` is what brings it back.

    Raises:
        UserError: if the file is missing, cannot be read or is not valid JSON.
    """
    with reading(path, remedy):
        data = Path(path).read_bytes()
    return parse_json(data, str(path), "delete it and run again")


def parse_json(data: bytes, where: str, remedy: str) -> Any:
    """What JSON holds; UserError, naming it `where`, if it is not valid."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits is a ValueError, nesting without end the other one.
        why = str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise UserError(f"{where} is not valid JSON ({why}); {remedy}") from None
