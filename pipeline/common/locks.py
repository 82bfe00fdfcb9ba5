"""One process at a time on an output: locks that a process holds and that its death frees.

A lock is a hidden file beside what it guards, `.{name}.lock`, with one line in it about who holds
it. The system keeps the lock itself (`flock`), so none is ever left over; the file goes when its
process ends in order, and stays, of no effect, when it was killed.
"""

import atexit
import contextlib
import errno
import itertools
import os
import socket
import time
from pathlib import Path
from typing import IO

from pipeline.common.errors import UserError
from pipeline.common.files import writing

WAIT_SECONDS = 15.0
"""More than a stage whose DVC was killed needs to end (`process.end_with_starter`)."""
UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
"""What file systems without locks answer; there the work is done without."""

_held: dict[Path, IO[str]] = {}


def claim_outputs(*outputs: Path, wait_seconds: float = WAIT_SECONDS) -> None:
    """Make these files and folders this process's own until it ends.

    Raises:
        UserError: another process still writes one after `wait_seconds`, and says which; or a
            folder cannot be written to.
    """
    give_up = time.monotonic() + wait_seconds
    for output in outputs:
        with writing(output):
            while not _take(output):
                if time.monotonic() > give_up:
                    raise UserError(
                        f"{output} is being written by {_holder(output)}; wait until it has ended, "
                        "or end it, and run again"
                    )
                time.sleep(0.1)


def claim_folder(folder: Path) -> Path:
    """The first of `folder`, `folder.1`, `folder.2`, ... that no process uses, now this one's.

    Whoever asks again after the death of a process finds the folder that it left.
    """
    for number in itertools.count():
        free = folder.with_name(f"{folder.name}.{number}") if number else folder
        try:
            if _take(free):
                return free
        except OSError:  # no lock can be made here: what is to be written will say why
            return free
    raise AssertionError("there is always a further number")


def try_lock(file: IO[str]) -> bool:
    """Lock an open file until it is closed; False where another process has done so."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(1 << 30)  # a byte far behind the line, which stays readable
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in UNSUPPORTED
    return True


def _take(guarded: Path) -> bool:
    """Lock what is `guarded`, unless another process has it; True where this one has already."""
    path = _lock_file(guarded)
    if path in _held:
        return True
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = path.open("a+", encoding="utf-8")
        if not try_lock(file):
            file.close()
            return False
        if _is_at(file, path):
            break
        file.close()  # its last holder removed it after it was opened here
    file.truncate(0)
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    holder = f"process {os.getpid()} on {socket.gethostname()}, since {now}"
    with contextlib.suppress(OSError):  # a full disk; the lock itself holds
        os.write(file.fileno(), holder.encode())
    _held[path] = file
    atexit.register(_free, path)
    return True


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _free(path: Path) -> None:
    """Remove a lock that is held, and let it go."""
    with _held.pop(path), contextlib.suppress(OSError):  # Windows removes no file that is open
        path.unlink(missing_ok=True)


def _holder(guarded: Path) -> str:
    try:
        return _lock_file(guarded).read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"


def _lock_file(guarded: Path) -> Path:
    # The folder by its true name; the output itself may be a link into DVC's cache.
    return Path(guarded).parent.resolve() / f".{guarded.name}.lock"
