import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.common.files import write_json
from pipeline.dataset.splits import PARTS, StoryLength, make_splits, read_splits


def stories(n_train: int, n_test: int, seed: int = 0) -> list[StoryLength]:
    chance = random.Random(seed)
    return [
        StoryLength(f"{split}-{n}", split, chance.randint(5, 22))
        for split, count in (("train", n_train), ("test", n_test))
        for n in range(count)
    ]


def test_official_keeps_the_datasets_own_test() -> None:
    splits = make_splits(stories(200, 30), k=4, test="official", val_fraction=0.1, seed=0)
    assert len(splits["val"]) == 20
    assert len(splits["train"]) == 180
    assert sorted(splits["test"]) == sorted(f"test-{n}" for n in range(30))
    assert all(name.startswith("train-") for name in splits["train"] + splits["val"])


def test_carved_is_80_10_10_of_train() -> None:
    splits = make_splits(stories(200, 30), k=4, test="carved", val_fraction=0.5, seed=0)
    assert [len(splits[part]) for part in PARTS] == [160, 20, 20]
    assert all(name.startswith("train-") for part in PARTS for name in splits[part])


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 25), min_size=40, max_size=120),
    k=st.integers(1, 8),
    seed=st.integers(0, 5),
    carved=st.booleans(),
)
def test_splits_divide_the_stories_and_every_bin_alike(
    lengths: list[int], k: int, seed: int, carved: bool
) -> None:
    pool = [
        StoryLength(f"s{n}", "train", length) for n, length in enumerate([*lengths, 12, 12, 12])
    ]
    pool += [StoryLength("t", "test", 20)]
    test = "carved" if carved else "official"
    splits = make_splits(pool, k, test, 0.2, seed)  # type: ignore[arg-type]
    names = [name for part in PARTS for name in splits[part]]
    usable = {story.story_id for story in pool if story.n_frames >= k + 1}
    assert len(set(names)) == len(names)
    assert set(names) == (usable - {"t"} if carved else usable)
    for part in PARTS:
        assert sum(splits["bins"][part].values()) == len(splits[part])
    # a bin's share of val is its share of all, to within a story
    parts = PARTS if carved else ("train", "val")
    fraction = 0.1 if carved else 0.2
    for name in splits["bins"]["train"]:
        size = sum(splits["bins"][part].get(name, 0) for part in parts)
        assert abs(splits["bins"]["val"].get(name, 0) - fraction * size) <= 1


def test_the_order_of_rows_does_not_matter_and_the_seed_does() -> None:
    pool = stories(120, 20)
    shuffled = random.Random(1).sample(pool, len(pool))
    one = make_splits(pool, 4, "official", 0.1, seed=3)
    assert make_splits(shuffled, 4, "official", 0.1, seed=3) == one
    other = make_splits(pool, 4, "official", 0.1, seed=4)
    assert other["val"] != one["val"]
    assert other["test"] == one["test"]


def test_short_stories_are_left_out() -> None:
    pool = [*stories(50, 10), StoryLength("short", "train", 5), StoryLength("fits", "train", 6)]
    splits = make_splits(pool, k=5, test="official", val_fraction=0.1, seed=0)
    names = {name for part in PARTS for name in splits[part]}
    assert "short" not in names
    assert "fits" in names


def test_bins_are_those_of_the_contract() -> None:
    pool = [StoryLength(f"s{n}", "train", n) for n in (5, 7, 8, 11, 12, 15, 16, 22)]
    pool += [StoryLength("t", "test", 4)]
    splits = make_splits(pool, k=3, test="official", val_fraction=0.1, seed=0)
    found = {
        name: splits["bins"]["train"][name] + splits["bins"]["val"][name]
        for name in splits["bins"]["train"]
    }
    assert found == {"5-7": 2, "8-11": 2, "12-15": 2, "16+": 2}
    assert splits["bins"]["test"]["under 5"] == 1


def test_official_without_test_stories_suggests_carved() -> None:
    with pytest.raises(UserError, match=r"no test stories; set split\.test to carved"):
        make_splits(stories(50, 0), 4, "official", 0.1, 0)


@pytest.mark.parametrize(
    ("pool", "test", "part"),
    [
        (stories(1, 1), "official", "train"),
        (stories(2, 5), "carved", "train"),
        ([], "carved", "train"),
        ([StoryLength("a", "train", 9)] * 3 + [StoryLength("t", "test", 5)], "official", "test"),
    ],
)
def test_a_part_without_stories_is_an_error(pool: list[StoryLength], test: str, part: str) -> None:
    with pytest.raises(UserError, match=f"no story is left for {part}.*context.k=6"):
        make_splits(pool, 6, test, 0.1, 0)  # type: ignore[arg-type]


def test_three_stories_are_enough_to_carve() -> None:
    pool = [StoryLength(name, "train", n) for name, n in (("a", 5), ("b", 9), ("c", 14))]
    splits = make_splits(pool, 4, "carved", 0.1, 0)
    assert [len(splits[part]) for part in PARTS] == [1, 1, 1]


def test_read_splits_gives_the_three_parts_alone(tmp_path: Path) -> None:
    splits = make_splits(stories(50, 9), 4, "official", 0.1, 0)
    write_json(tmp_path / "splits.json", splits)
    assert read_splits(tmp_path / "splits.json") == {part: splits[part] for part in PARTS}
    write_json(tmp_path / "splits.json", {"train": []})
    with pytest.raises(UserError, match="does not list train, val and test"):
        read_splits(tmp_path / "splits.json")


@pytest.mark.parametrize(
    "content",
    [
        {},
        None,
        [],
        "train",
        {"train": None, "val": [], "test": []},
        {"train": {"a": 1}, "val": [], "test": []},
        {"train": [1], "val": ["b"], "test": ["c"]},
        {"train": [["a"]], "val": ["b"], "test": ["c"]},
        {"train": ["a"], "val": [None], "test": ["c"]},
    ],
)
def test_what_is_no_list_of_stories_is_one_sentence(tmp_path: Path, content: object) -> None:
    write_json(tmp_path / "splits.json", content)
    with pytest.raises(UserError, match="does not list train, val and test stories"):
        read_splits(tmp_path / "splits.json")


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"val": ["a", "d"]}, "in train and again in val"),
        ({"test": ["c", "b"]}, "in val and again in test"),
        ({"train": ["a", "x" * 9_999, "x" * 9_999]}, "in train and again in train"),
    ],
)
def test_a_story_twice_is_refused(
    tmp_path: Path, changes: dict[str, list[str]], parts: str
) -> None:
    write_json(tmp_path / "splits.json", {"train": ["a"], "val": ["b"], "test": ["c"]} | changes)
    with pytest.raises(UserError, match=parts) as refused:
        read_splits(tmp_path / "splits.json")
    assert len(str(refused.value)) < 500 + len(str(tmp_path))
