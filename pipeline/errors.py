"""Errors meant for people, and the one place where they become a command's exit status."""

import sys
from collections.abc import Callable

from pipeline.process import STOPPED, Stopped, raising_at_signals


class UserError(Exception):
    """Something a person can put right: one clear sentence saying what, where, and what to do.

    Everything else that is raised is a bug of ours and keeps its traceback.
    """


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
