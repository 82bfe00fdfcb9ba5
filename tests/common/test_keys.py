"""Keys are found as a dictionary would find them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.keys import KeyIndex, as_keys

KEYS = st.lists(st.binary(min_size=32, max_size=32), max_size=30)


@given(KEYS, KEYS, st.integers(0, 30))
def test_index_agrees_with_a_dictionary(known: list[bytes], others: list[bytes], cut: int) -> None:
    near = [key[:31] + b"\0" for key in known] + [b"\0" * 32]
    first: dict[bytes, int] = {}
    for row, key in enumerate(known):
        first.setdefault(key, row)
    wanted = known + others + near
    index = KeyIndex(as_keys(known[:cut]), as_keys(known[cut:]))
    rows = index.find(wanted)
    assert rows.tolist() == [first.get(key, -1) for key in wanted]
    there = rows[rows >= 0]
    parts = (known[:cut], known[cut:])
    found = {
        place: parts[part][row]
        for part, here, rows_in_part in index.by_part(there)
        for place, row in zip(here.tolist(), rows_in_part.tolist(), strict=True)
    }
    assert [found[place] for place in range(len(there))] == [known[row] for row in there]


def test_keys_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="N x 32"):
        as_keys([b"short", b"keys!"])
    assert as_keys([]).shape == (0, 32)
    assert KeyIndex().find([bytes(32)]).tolist() == [-1]
    assert as_keys(np.zeros((2, 32), np.uint8)).shape == (2, 32)
