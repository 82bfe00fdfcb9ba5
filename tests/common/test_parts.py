"""Shares of work: whatever their number, together they are all of it, each unit once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.common.parts import WHOLE, Part


@given(units=st.integers(0, 500), count=st.integers(1, 60), start=st.integers(0, 3))
def test_every_unit_is_in_exactly_one_part(units: int, count: int, start: int) -> None:
    everything = range(start, start + 7 * units, 7)
    parts = [Part(f"{number}/{count}").of(everything) for number in range(1, count + 1)]
    assert [unit for part in parts for unit in part] == list(everything)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert [Part(f"{number}/{count}").of([*everything]) for number in range(1, count + 1)] == [
        [*part] for part in parts
    ]


def test_the_whole_is_one_part() -> None:
    assert WHOLE.of(range(5)) == range(5)
    assert str(Part("3/16")) == "3/16"


@pytest.mark.parametrize(
    "written", ["0/16", "17/16", "3", "a/b", "", "/", "1/0", "-1/2", "1/2/3", "1/2 ", "9" * 5000]
)
def test_what_is_no_part_is_one_sentence(written: str) -> None:
    with pytest.raises(UserError, match="is no part of anything: of 16 parts, the first is 1/16"):
        Part(written)
