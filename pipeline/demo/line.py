"""Visitors in a line: work is done one piece at a time, in the order in which it came."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class LineFullError(Exception):
    """As much work waits as is allowed to."""


class Line:
    """A thread that works, and the tickets of those who wait for it."""

    def __init__(self, name: str, most: int):
        """`most` pieces of work are taken at a time, the one being done included."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._tickets: list[str] = []
        self._most = most

    def place(self, ticket: str) -> int | None:
        """How many are to be served before this one, 0 while it is being served.

        None for a ticket that is not in the line, be it that it never was or that its work is done.
        """
        try:
            return self._tickets.index(ticket)
        except ValueError:
            return None

    async def do(self, ticket: str, work: Callable[[], Result]) -> Result:
        """Wait in line, and give what `work` returns or raise what it raises.

        Work whose caller is cancelled before its turn is never begun.

        Raises:
            LineFullError: nothing was taken.
        """
        if len(self._tickets) >= self._most:
            raise LineFullError
        self._tickets.append(ticket)
        future = self._thread.submit(work)
        future.add_done_callback(lambda _: self._tickets.remove(ticket))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Begin nothing more; what is being done ends first."""
        self._thread.shutdown(wait=True, cancel_futures=True)
