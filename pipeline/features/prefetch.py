"""Work ahead of a consumer in a thread, with a bound on what may pile up."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def prefetched(items: Generator[Item, None, None], depth: int) -> Iterator[Iterator[Item]]:
    """Run a generator in a thread of its own, at most `depth` items ahead of the consumer.

    Exceptions reach the consumer in their place. The thread ends and the generator is closed with
    the `with` block, however that is left.
    """
    with ThreadPoolExecutor(1) as thread:
        ahead: deque[Future[Item]] = deque()

        def ask() -> None:
            ahead.append(thread.submit(next, items))

        def consume() -> Iterator[Item]:
            while True:
                try:
                    item = ahead.popleft().result()
                except StopIteration:
                    return
                ask()
                yield item

        for _ in range(depth):
            ask()
        try:
            yield consume()
        finally:
            thread.shutdown(cancel_futures=True)
            items.close()
