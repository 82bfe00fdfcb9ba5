"""Pools of near equal size."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.stories import pools


@given(st.integers(0, 1000), st.integers(1, 120))
def test_pools_cover_everything_in_near_equal_runs(count: int, at_most: int) -> None:
    cut = list(pools(count, at_most))
    assert [i for start, stop in cut for i in range(start, stop)] == list(range(count))
    sizes = [stop - start for start, stop in cut]
    if sizes:
        assert max(sizes) <= at_most
        assert max(sizes) - min(sizes) <= 1
        assert len(sizes) == -(-count // at_most)
