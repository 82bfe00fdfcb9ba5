"""Errors meant for people, and the one place where they become a command's exit status."""

import re
import sys
from collections.abc import Callable

from pipeline.common.process import STOPPED, Stopped, raising_at_signals

LONGEST = 500  # characters of a message
LONGEST_REASON = 200  # of these, what a library says


class UserError(Exception):
    """Something a person can put right: one clear sentence saying what, where, and what to do.

    A message beyond `LONGEST` characters loses its middle: where it is and what to do are at its
    ends. Everything else that is raised is a bug of ours and keeps its traceback.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) <= LONGEST:
            return text
        return f"{text[: LONGEST // 2]} ... {text[-(LONGEST // 2 - 5) :]}"


def reason(error: BaseException, named: bool = False) -> str:
    """What a library's error says, fit for a sentence: its first line, short, free of raw bytes.

    With its kind before it if `named`: a KeyError says little more than the key.
    """
    kind = type(error).__name__
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()  # without a terminal's colours
    text = f"{kind}: {text}" if named and text else text or kind
    line = text[: 10 * LONGEST_REASON].splitlines()[0].rstrip(".")
    line = re.sub(r"""\bb(['"])(\\.|(?!\1).)*(\1|$)""", "bytes", line)
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 4] + " ..."


def exit_cleanly(main: Callable[[], None]) -> None:
    """Run a command's `main` and leave with the exit status a shell, make or DVC expects.

    A `UserError` is printed as one `error:` line on stderr and exits with 1; a request to stop
    (Ctrl-C, SIGTERM) exits with 128 and the signal's number, as shells have it. Any other exception
    passes through.

    Raises:
        SystemExit: after a `UserError` or a request to stop.
    """
    try:
        with raising_at_signals():
            main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt as stop:
        print(STOPPED, file=sys.stderr)
        raise SystemExit(stop.status if isinstance(stop, Stopped) else 130) from None
