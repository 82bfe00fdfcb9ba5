import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.dataset.windows import make_windows


def table(lengths: list[int]) -> pa.Table:
    ids = [f"s{i}" for i, n in enumerate(lengths) for _ in range(n)]
    return pa.table({"story_id": pa.array(ids, pa.string())})


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 9), max_size=12),
    st.integers(1, 5),
    st.sampled_from(["sliding", "first"]),
    st.randoms(use_true_random=False),
)
def test_windows_equal_a_plain_loop(lengths: list[int], k: int, mode: str, random) -> None:
    order = list(range(len(lengths)))
    random.shuffle(order)
    order = order[: random.randint(0, len(order))]
    starts = np.cumsum([0, *lengths])
    contexts, targets, stories = [], [], []
    for story in order:
        for start in range(lengths[story] - k):
            if mode == "sliding" or start == 0:
                first = int(starts[story]) + start
                contexts.append(list(range(first, first + k)))
                targets.append(first + k)
                stories.append(f"s{story}")
    frames = table(lengths)
    found = make_windows(frames, [f"s{i}" for i in order], k, mode)
    assert found.context.shape == (len(targets), k)
    assert found.context.dtype == found.target.dtype == np.int64
    assert found.context.tolist() == contexts
    assert found.target.tolist() == targets
    assert found.story == stories
    assert len(found) == len(targets)


def test_a_table_in_several_parts_is_one_table() -> None:
    whole = table([3, 5, 4])
    parts = pa.concat_tables([whole.slice(0, 5), whole.slice(5, 1), whole.slice(6)])
    expected = make_windows(whole, ["s0", "s1", "s2"], 2, "sliding")
    found = make_windows(parts, ["s0", "s1", "s2"], 2, "sliding")
    assert found.context.tolist() == expected.context.tolist() and found.story == expected.story


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="s9"):
        make_windows(table([5, 5]), ["s0", "s9"], 2, "first")
    with pytest.raises(ValueError, match="all"):
        make_windows(table([5]), ["s0"], 2, "all")
    mixed = pa.table({"story_id": ["a", "b", "a"]})
    with pytest.raises(ValueError, match="order"):
        make_windows(mixed, ["a"], 1, "first")
