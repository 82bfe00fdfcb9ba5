"""Names of stories over two splits, and what remembering all of them costs."""

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.prepare.catalogue import Identity
from pipeline.prepare.examination import Story

IDS = st.text("01/ts", max_size=3) | st.sampled_from(["test/0", "test/test/0", "train/0"])


def story(story_id: str, caption: str = "Ann walks.") -> Story:
    return Story(story_id, [caption], [bytes(32)], [(4, 3)])


@settings(deadline=None)
@given(st.lists(IDS, unique=True), st.lists(IDS, unique=True))
def test_every_story_has_a_name_of_its_own_and_only_what_must_is_renamed(
    train: list[str], test: list[str]
) -> None:
    identity = Identity()
    names = [identity.named("train", story(name)).story_id for name in train]
    assert names == train
    names += [identity.named("test", story(name)).story_id for name in test]
    assert len(set(names)) == len(names)
    for name, given_id in zip(names[len(train) :], test, strict=True):
        before = name.removesuffix(given_id)
        assert before == "test/" * (len(before) // len("test/"))
        if not any(one.startswith("test/") for one in [*train, *test]):
            assert before == ("test/" if given_id in train else "")
    assert all(identity.is_taken("train", name) for name in train)
    assert [identity.is_taken("test", name) for name in train] == [name in test for name in train]


def test_what_is_remembered_of_a_story_is_a_few_hundred_bytes() -> None:
    identity = Identity()
    tracemalloc.start()
    try:
        for n in range(5_000):
            one = story(f"{n:0200d}", f"Caption {n}. " * 100)
            identity.is_elsewhere("train", one)
            identity.named("train", one)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 5_000 * 600
