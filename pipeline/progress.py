"""Progress bars: drawn in place on a terminal, a line now and then in a log."""

import sys
from typing import Any

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0


class _Lines:
    """A stream for a bar: each of its states becomes a line of stderr."""

    def write(self, text: str) -> None:
        if text.strip():
            print(text.strip(), file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()


def progress_bar(*arguments: Any, **options: Any) -> "tqdm[Any]":
    """A `tqdm` with the same arguments; without a terminal, lines at long intervals."""
    if sys.stderr.isatty():
        return tqdm(*arguments, mininterval=0.5, **options)
    seconds = SECONDS_BETWEEN_LINES
    return tqdm(*arguments, file=_Lines(), mininterval=seconds, maxinterval=seconds, **options)
