"""Cutting many items into a few runs of near equal size."""

from collections.abc import Iterator
from itertools import pairwise


def pools(count: int, at_most: int) -> Iterator[tuple[int, int]]:
    """Cut `count` items into as few runs of at most `at_most` as possible, of near equal size.

    Near equal, because a small last pool would be an easier question than the others.

    Yields:
        (start, stop) of each pool, in order.
    """
    number = -(-count // at_most)
    edges = [count * i // number for i in range(number + 1)] if number else []
    yield from pairwise(edges)
