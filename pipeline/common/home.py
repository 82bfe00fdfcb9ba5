"""Where a user's caches live, outside every repository: shared by clones and experiments."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.common.errors import UserError
from pipeline.common.files import CannotWriteError

DEFAULT = "~/.cache/storycache"


def storycache_home() -> Path:
    """The folder of this user's caches, as a whole path: `$STORYCACHE_HOME`, or `DEFAULT`.

    Raises:
        UserError: the user has no home folder, or the folder that is set is a relative one, which
            `dvc exp run --temp` would look for in another place than `dvc repro`.
    """
    given = os.environ.get("STORYCACHE_HOME") or DEFAULT
    try:
        home = Path(given).expanduser()
    except RuntimeError:  # no HOME, and nobody by that name among the system's users
        raise UserError(
            f"the caches' folder {given} cannot be found, as this user has no home folder: set "
            "STORYCACHE_HOME to the whole path of a folder that is yours"
        ) from None
    if not home.is_absolute():
        raise UserError(
            f"STORYCACHE_HOME is {given}, which depends on the folder a stage runs in: set it to a "
            f"whole path, such as {home.absolute()}"
        )
    return home


@contextmanager
def in_home() -> Iterator[None]:
    """Say of a file of the caches that cannot be written what else helps there."""
    try:
        yield
    except CannotWriteError as error:
        raise CannotWriteError(
            f"{error}, or set STORYCACHE_HOME to a folder with room that is yours"
        ) from error
