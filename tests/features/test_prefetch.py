import threading
from collections.abc import Iterator

import pytest

from pipeline.features.prefetch import prefetched


@pytest.mark.parametrize("depth", [1, 2])
def test_prefetched_gives_everything_and_raises_in_place(depth: int) -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ValueError("sixth")

    with prefetched(items(), depth) as ahead:
        assert [next(ahead) for _ in range(5)] == list(range(5))
        with pytest.raises(ValueError, match="sixth"):
            next(ahead)
    with prefetched((i for i in range(3)), depth) as whole:
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
