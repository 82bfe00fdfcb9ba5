"""Progress bars: drawn in place on a terminal, a line now and then in a log."""

import sys
from collections.abc import Iterable
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


def progress_bar(
    items: Iterable[Any] | None = None,
    desc: str | None = None,
    total: int | None = None,
    initial: int = 0,
    unit: str = "it",
    disable: bool = False,
) -> "tqdm[Any]":
    """A `tqdm` with these arguments; without a terminal, lines at long intervals."""
    if sys.stderr.isatty():
        drawn: dict[str, Any] = {"mininterval": 0.5}
    else:
        seconds = SECONDS_BETWEEN_LINES
        drawn = {"file": _Lines(), "mininterval": seconds, "maxinterval": seconds}
    return tqdm(items, desc, total, initial=initial, unit=unit, disable=disable, **drawn)
