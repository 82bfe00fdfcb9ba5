"""Work is done one piece at a time, in the order in which it came."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from pipeline.demo.line import Line, LineFullError


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line("test", 3)
    yield line
    line.close()


def test_the_first_come_is_the_first_served_and_the_others_see_their_place(line: Line) -> None:
    begun: list[str] = []
    go_on = threading.Event()

    def work(ticket: str) -> str:
        begun.append(ticket)
        assert go_on.wait(30)
        return ticket.upper()

    async def visitors() -> None:
        jobs = [asyncio.ensure_future(line.do(t, lambda t=t: work(t))) for t in ("a", "b", "c")]
        await asyncio.sleep(0)
        assert [line.place(ticket) for ticket in ("a", "b", "c", "d")] == [0, 1, 2, None]
        with pytest.raises(LineFullError):
            await line.do("d", lambda: work("d"))
        go_on.set()
        assert await asyncio.gather(*jobs) == ["A", "B", "C"]

    asyncio.run(visitors())
    assert begun == ["a", "b", "c"]


def test_who_leaves_is_not_served_and_the_next_moves_up(line: Line) -> None:
    begun: list[str] = []
    go_on = threading.Event()

    async def visitors() -> None:
        first = asyncio.ensure_future(line.do("a", lambda: go_on.wait(30)))
        leaves = asyncio.ensure_future(line.do("b", lambda: begun.append("b")))
        last = asyncio.ensure_future(line.do("c", lambda: begun.append("c")))
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.wait({leaves})
        assert line.place("c") == 1
        go_on.set()
        await asyncio.gather(first, last)

    asyncio.run(visitors())
    assert begun == ["c"]


def test_what_work_raises_is_its_visitors_alone(line: Line) -> None:
    async def visitors() -> list[object]:
        jobs = [line.do("a", lambda: 1 // 0), line.do("b", lambda: 2)]
        return await asyncio.gather(*jobs, return_exceptions=True)

    failed, done = asyncio.run(visitors())
    assert isinstance(failed, ZeroDivisionError) and done == 2
