"""Work ahead of a consumer in a thread, with a bound on what may pile up."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def prefetched(items: Iterator[Item], depth: int) -> Iterator[Iterator[Item]]:
    """Run an iterator in a thread of its own, at most `depth` items ahead of the consumer.

    Exceptions reach the consumer in their place. The thread ends with the `with` block, however
    that is left.
    """
    ready: queue.Queue[tuple[bool, Item | BaseException | None]] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(more: bool, value: Item | BaseException | None) -> bool:
        while not stop.is_set():
            try:
                ready.put((more, value), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not put(True, item):
                    break
        except BaseException as raised:
            error = raised
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        put(False, error)

    def consume() -> Iterator[Item]:
        while True:
            more, value = ready.get()
            if more:
                yield value  # type: ignore[misc]
            elif isinstance(value, BaseException):
                raise value
            else:
                return

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        yield consume()
    finally:
        stop.set()
        thread.join()
