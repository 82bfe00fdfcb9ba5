"""Windows: the right frames of the right stories, whatever is selected of them."""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.dataset.story_dataset import Stories, StoryDataset
from pipeline.features.store import FeatureStore, key_array
from pipeline.stories.frames import read_frames


def table(lengths: list[int]) -> pa.Table:
    ids = [f"s{i}" for i, n in enumerate(lengths) for _ in range(n)]
    return pa.table({"story_id": pa.array(ids, pa.string())})


@pytest.fixture(scope="module")
def cut(world: Any) -> Any:
    """Cuts any table; the stores are those of the toy world."""
    images, texts = FeatureStore.open(world.images), FeatureStore.open(world.texts)

    def cut(frames: pa.Table, stories: list[str], k: int, mode: str) -> StoryDataset:
        return StoryDataset.cut(frames, images, texts, stories, k, mode)

    return cut


@given(
    st.lists(st.integers(1, 9), max_size=12),
    st.integers(1, 5),
    st.sampled_from(["sliding", "first"]),
    st.randoms(use_true_random=False),
)
def test_windows_equal_a_plain_loop(
    cut: Any, lengths: list[int], k: int, mode: str, random: Any
) -> None:
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
    found = cut(table(lengths), [f"s{i}" for i in order], k, mode)
    assert found.context.shape == (len(targets), k) and len(found) == len(targets)
    assert found.context.tolist() == contexts
    assert found.target.tolist() == targets
    assert found.story == stories
    chosen = [random.randrange(len(targets)) for _ in range(4)] if targets else []
    some = found.select(chosen)
    assert some.context.tolist() == [contexts[i] for i in chosen]
    assert some.target.tolist() == [targets[i] for i in chosen]
    assert some.story == [stories[i] for i in chosen]


def test_a_table_in_several_parts_is_one_table(cut: Any) -> None:
    whole = table([3, 5, 4])
    parts = pa.concat_tables([whole.slice(0, 5), whole.slice(5, 1), whole.slice(6)])
    expected, found = (cut(some, ["s0", "s1", "s2"], 2, "sliding") for some in (whole, parts))
    assert found.context.tolist() == expected.context.tolist() and found.story == expected.story


def test_mistakes_are_named(cut: Any) -> None:
    with pytest.raises(UserError, match="s9"):
        cut(table([5, 5]), ["s0", "s9"], 2, "first")
    with pytest.raises(ValueError, match="all"):
        cut(table([5]), ["s0"], 2, "all")
    with pytest.raises(ValueError, match="order"):
        cut(pa.table({"story_id": ["a", "b", "a"]}), ["a"], 1, "first")


def test_contexts_are_those_of_the_frames_read_or_in_memory(toy: Any, world: Any) -> None:
    stories = Stories.open(world)
    rows = [9, 0, 9]
    read = stories.windows("train", 2, "sliding").select(rows).contexts()
    frames = read_frames(world.frames)
    for i, row in enumerate(rows):
        first = row // 4 * 6 + row % 4  # stories of six frames have four windows of two
        window = frames.slice(first, 2)
        assert read.story[i] == window.column("story_id")[0].as_py()
        assert read.captions[i] == window.column("caption").to_pylist()
        keys = [key_array(window.column(name)) for name in ("image_key", "caption_key")]
        assert np.array_equal(read.images[i], stories.images.lookup(keys[0]))
        assert np.array_equal(read.texts[i], stories.texts.lookup(keys[1]))
        content = b"".join(
            image.tobytes() + text.tobytes() for image, text in zip(*keys, strict=True)
        )
        assert read.keys[i] == hashlib.sha256(content).digest()
    in_memory = toy.train.contexts(rows)
    for other in (in_memory, toy.train.contexts(range(10)).take(rows)):
        assert np.array_equal(other.images, read.images)
        assert np.array_equal(other.texts, read.texts)
        assert (other.story, other.captions, other.keys) == (read.story, read.captions, read.keys)
