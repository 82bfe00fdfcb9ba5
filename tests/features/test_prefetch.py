import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.features.prefetch import map_ahead, prefetched


def test_map_ahead_keeps_the_order_and_the_bound() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for i in range(50):
            taken += 1
            yield i

    def slow_if_even(i: int) -> int:
        time.sleep(0.002 * (i % 2 == 0))
        return i * i

    for received, value in enumerate(map_ahead(slow_if_even, items(), threads=4, ahead=6)):
        assert value == received**2
        assert taken <= received + 6


def test_map_ahead_raises_in_place() -> None:
    results = map_ahead(lambda i: 10 // i, [5, 2, 0, 1], threads=2, ahead=4)
    assert [next(results), next(results)] == [2, 5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_prefetched_gives_everything_and_raises_in_place() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ValueError("sixth")

    with prefetched(items(), depth=2) as ahead:
        assert [next(ahead) for _ in range(5)] == list(range(5))
        with pytest.raises(ValueError, match="sixth"):
            next(ahead)
    with prefetched(iter(range(3)), depth=1) as whole:
        assert list(whole) == [0, 1, 2]


def test_leaving_early_ends_the_thread_and_closes_the_source() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            i = 0
            while True:
                yield (i := i + 1)
        finally:
            closed.set()

    before = threading.active_count()
    with pytest.raises(KeyError), prefetched(endless(), depth=3) as items:
        assert next(items) == 1
        raise KeyError
    assert closed.is_set()
    assert threading.active_count() == before
