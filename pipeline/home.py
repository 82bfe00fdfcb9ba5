"""Where a user's caches live, outside every repository: shared by clones and experiments."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.files import CannotWriteError


def storycache_home() -> Path:
    """The folder of this user's caches: `$STORYCACHE_HOME`, or ~/.cache/storycache."""
    return Path(os.environ.get("STORYCACHE_HOME") or "~/.cache/storycache").expanduser()


@contextmanager
def in_home() -> Iterator[None]:
    """Say of a file of the caches that cannot be written what else helps there."""
    try:
        yield
    except CannotWriteError as error:
        raise CannotWriteError(
            f"{error}, or set STORYCACHE_HOME to a folder with room that is yours"
        ) from error
