"""How a process of ours ends: at a signal, and with the one that it works for.

Light, as it comes before anything heavy is imported: until `main` runs, a signal finds nothing
begun, and from then on it unwinds like an error.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Requests to stop: Ctrl-C, and what `kill` and schedulers send."""
STOPPED = "stopped: finished work is kept; run the same command to go on"
TORCHRUN = "TORCHELASTIC_RUN_ID"
"""In the environment of a process that torchrun has started."""
LOOK_EVERY_SECONDS = 0.25
GRACE_SECONDS = 5.0


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop."""

    def __init__(self, number: int):
        super().__init__(f"signal {number}")
        self.status = 128 + number
        """Exit status, as shells have it."""


def leave_at_signals() -> None:
    """Until `raising_at_signals`, a request to stop ends this process with one sentence."""
    _handle(_leave)


@contextmanager
def raising_at_signals() -> Iterator[None]:
    """Within it, a request to stop raises `Stopped`; a second one ends the process where it is."""
    before = _handle(_raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle(handler: "signal._HANDLER") -> "Mapping[signal.Signals, signal._HANDLER]":
    """Set a handler; what is ignored (`nohup`, a shell's `&`) stays so. Returns those before."""
    if threading.current_thread() is not threading.main_thread():
        return {}  # where Python allows no handlers
    before = {number: signal.getsignal(number) for number in SIGNALS}
    changed = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in changed:
        signal.signal(number, handler)
    return changed


def _leave(number: int, frame: FrameType | None) -> None:
    # No exception: an import that runs C code turns one into an error of its own.
    os.write(2, f"{STOPPED}\n".encode())
    os._exit(128 + number)


def _raise(number: int, frame: FrameType | None) -> None:
    _handle(_leave)
    raise Stopped(number)


def end_with_starter() -> None:
    """If DVC or torchrun runs this process, end it soon after that one, however that ended.

    Otherwise a stage whose DVC was killed would write on beside that of the next `dvc repro`. A
    stage that is run by hand outlives its shell, as `nohup` promises.
    """
    if {"DVC_STAGE", TORCHRUN} & os.environ.keys() and os.name == "posix":
        started_by = _started_by()
        threading.Thread(target=_end_without, args=(started_by,), daemon=True).start()


def end_with_parent() -> None:
    """Set up a worker process of `multiprocessing`, started `holding_signals`: it ends when its
    parent has.

    A signal to the whole group is the parent's to answer. A worker that died of it at once would
    leave the parent a broken pool while that unwinds.
    """
    from multiprocessing import parent_process

    def end_later(seconds: float) -> None:
        time.sleep(seconds)
        os._exit(1)

    def leave(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=end_later, args=(2 * GRACE_SECONDS,), daemon=True).start()

    def wait() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    _handle(leave)
    threading.Thread(target=wait, daemon=True).start()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@contextmanager
def holding_signals() -> Iterator[None]:
    """Within it, requests to stop wait, for this process and for those that it starts."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _started_by() -> tuple[int, ...]:
    """The parent; where that is the shell in which DVC runs commands, the shell's parent too."""
    parent = os.getppid()
    shell = Path(os.environ.get("SHELL") or "/bin/sh").name
    try:
        name, fields = Path(f"/proc/{parent}/stat").read_text().split("(", 1)[1].rsplit(")", 1)
    except OSError:  # it has just ended, or this is no Linux
        return (parent,)
    return (parent, int(fields.split()[1])) if name == shell[:15] else (parent,)


def _end_without(started_by: tuple[int, ...]) -> None:
    while _started_by() == started_by:
        time.sleep(LOOK_EVERY_SECONDS)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)  # for the main thread, which may be in a long call
    os._exit(128 + signal.SIGTERM)
