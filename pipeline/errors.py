"""Errors meant for people, and the one place where they become a command's exit status."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something a person can put right: one clear sentence saying what, where, and what to do.

    Everything else that is raised is a bug of ours and keeps its traceback.
    """


def exit_cleanly(main: Callable[[], None]) -> None:
    """Run a command's `main` and leave with the exit status a shell, make or DVC expects.

    A `UserError` is printed as one `error:` line on stderr and exits with 1; an interrupt by the
    keyboard exits with 130, as shells do for SIGINT. Any other exception passes through.

    Raises:
        SystemExit: after a `UserError` or an interrupt.
    """
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("stopped: finished work is kept; run the same command to go on", file=sys.stderr)
        raise SystemExit(130) from None
