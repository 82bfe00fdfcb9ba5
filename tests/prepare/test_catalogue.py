import json
import statistics
import tracemalloc
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.common.files import read_json, write_json
from pipeline.dataset.splits import make_splits, read_splits, story_lengths
from pipeline.prepare.catalogue import Identity, prepare
from pipeline.prepare.examination import Story, examine
from pipeline.stories.frames import FRAMES_SCHEMA, content_key, read_frames
from pipeline.stories.schema import iter_stories, write_stories
from tests.stories.story_rows import encoded_image, story_row


def run(
    folder: Path,
    train: list[dict[str, Any]],
    test: list[dict[str, Any]],
    bad_frame: Literal["story", "cut"] = "story",
) -> Path:
    """Write the stories as raw files of three, prepare them, and return the folder of results."""
    write_stories(train, folder / "raw" / "train", rows_per_file=3)
    write_stories(test, folder / "raw" / "test", rows_per_file=3)
    out = folder / "stories"
    prepare(
        folder / "raw",
        out / "frames.parquet",
        out / "annotations.parquet",
        out / "summary.json",
        out / "quarantine.jsonl",
        out / "plots",
        bad_frame,
    )
    return out


def kept(out: Path, split: str) -> dict[str, list[str]]:
    """Captions of the stories kept, by the name that the line knows the story by."""
    rows = read_frames(out / "frames.parquet", None, {"split": [split]}).to_pylist()
    stories: dict[str, list[str]] = {}
    for row in rows:
        stories.setdefault(row["story_id"], []).append(row["caption"])
        assert row["frame_index"] == len(stories[row["story_id"]]) - 1
    assert all(len(stories[row["story_id"]]) == row["n_frames"] for row in rows)
    return stories


def quarantine(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]


def test_a_row_per_frame_says_where_its_image_is(tmp_path: Path) -> None:
    train = [story_row(f"a{n}", n_frames=2 + n) for n in range(5)]
    out = run(tmp_path, train, [story_row("b", n_frames=3)])
    table = read_frames(out / "frames.parquet")
    assert table.schema.equals(FRAMES_SCHEMA)
    rows = table.to_pylist()
    assert [row["story_id"] for row in rows] == [
        *(f"a{n}" for n in range(5) for _ in range(2 + n)),
        *("b" for _ in range(3)),
    ]
    raw = {(name, number): row for name, number, row in iter_stories(tmp_path / "raw")}
    for row in rows:
        story = raw[row["image_file"], row["image_row"]]
        assert row["story_id"] == story["story_id"]
        assert row["split"] == row["image_file"].split("/")[0]
        assert row["n_frames"] == len(story["images"])
        assert row["image_index"] == row["frame_index"]
        assert row["image_key"] == content_key(story["images"][row["image_index"]]["bytes"])
        assert row["caption"] == f"Frame {row['frame_index'] + 1} of {row['story_id']} tells it."
        assert row["caption_key"] == content_key(row["caption"].encode())
    assert quarantine(out) == []


def broken(kind: str) -> dict[str, Any]:
    """A row that is wrong in one way."""
    sound = story_row(kind, n_frames=3)
    images = sound["images"]
    cut = encoded_image()[:-200]
    changes: dict[str, dict[str, Any]] = {
        "no_frames": {"images": [], "frame_count": 0},
        "frame_count": {"frame_count": 4},
        "null id": {"story_id": None},
        "untagged": {"story": "Ann walks. <gdo char1>Bo</gdo> <gdi char2>runs</gdi>."},
        "blank": {
            "story": "<gdi image1>a</gdi><gdi image2>b</gdi><gdi image3>\0\u200b\ufeff</gdi>"
        },
        "null story": {"story": None},
        "null images": {"images": None},
        "garbage": {"images": [*images[:2], {"bytes": b"no image", "path": None}]},
        "cut off": {"images": [images[0], {"bytes": cut, "path": None}, images[2]]},
        "no bytes": {"images": [*images[:2], {"bytes": None, "path": None}]},
        "unreadable": {"images": [images[0], {"bytes": None, "path": "2.jpg is gone"}, images[2]]},
        "captions": {"story": ["a", "b"]},
        "no caption": {"story": ["a", None, "c"]},
        "null image": {"images": [*images[:2], None]},
        "empty_caption": {"story": "<gdi image1>a</gdi><gdi image2> </gdi><gdi image3>c"},
    }
    return sound | changes[kind]


@pytest.mark.parametrize(
    ("kind", "reason", "detail"),
    [
        ("no_frames", "no_frames", "empty"),
        ("frame_count", "frame_count", "frame_count 4, 3 images"),
        ("untagged", "no_frame_tags", "no tag such as"),
        ("blank", "empty_caption", "frame 3 of 3"),
        ("null story", "null_field", "story"),
        ("null images", "null_field", "images"),
        ("garbage", "image", "image 3"),
        ("cut off", "image", "image 2"),
        ("no bytes", "image", "image 3 has no bytes"),
        ("null image", "image", "image 3 has no bytes"),
        ("unreadable", "unreadable", "2.jpg is gone"),
        ("captions", "frame_count", "2 captions, 3 images"),
        ("no caption", "empty_caption", "frame 2 of 3"),
        ("empty_caption", "empty_caption", "frame 2 of 3"),
    ],
)
def test_what_cannot_be_used_is_refused_and_the_rest_goes_on(
    tmp_path: Path, kind: str, reason: str, detail: str
) -> None:
    rows = [story_row("first"), broken(kind), story_row("last")]
    out = run(tmp_path, rows, [])
    (refused,) = quarantine(out)
    assert {key: refused[key] for key in ("story_id", "split", "row", "kind")} == {
        "story_id": kind,
        "split": "train",
        "row": 1,
        "kind": reason,
    }
    assert refused["reason"].endswith(".")
    assert detail in refused["detail"]
    kept = read_frames(out / "frames.parquet", ["story_id"])["story_id"].unique().to_pylist()
    assert kept == ["first", "last"]
    summary = read_json(out / "summary.json")
    assert summary["quarantined"]["total"] == summary["quarantined"][reason] == 1


def test_a_row_without_an_id_is_refused(tmp_path: Path) -> None:
    out = run(tmp_path, [story_row("a"), broken("null id"), broken("null id")], [])
    assert [(row["story_id"], row["kind"], row["detail"]) for row in quarantine(out)] == [
        (None, "null_field", "story_id")
    ] * 2


def test_frame_count_and_chain_of_thought_need_not_be_there(tmp_path: Path) -> None:
    rows = [
        story_row("neither", frame_count=None, chain_of_thought=None),
        story_row("both"),
        story_row("wrong", frame_count=6),
    ]
    out = run(tmp_path, rows, [])
    assert list(kept(out, "train")) == ["neither", "both"]
    assert [row["kind"] for row in quarantine(out)] == ["frame_count"]
    assert read_json(out / "summary.json")["frame_count_valid"] == 0.5  # of the two that give one
    bare = {name: rows[0][name] for name in ("story_id", "images", "story")}
    assert isinstance(examine(bare), Story)


def test_an_id_is_taken_by_the_first_row_of_its_split_that_is_kept(tmp_path: Path) -> None:
    train = [
        story_row("a", frame_count=1),
        story_row("b"),
        story_row("a", n_frames=7),
        story_row("a", n_frames=6),
    ]
    out = run(tmp_path, train, [story_row("d"), story_row("a", n_frames=3, frame_count=1)])
    assert [(row["split"], row["row"], row["kind"]) for row in quarantine(out)] == [
        ("train", 0, "frame_count"),
        ("train", 3, "duplicate_id"),
        ("test", 1, "frame_count"),
    ]
    assert {name: len(captions) for name, captions in kept(out, "train").items()} == {
        "b": 5,
        "a": 7,
    }
    summary = read_json(out / "summary.json")
    assert summary["duplicates"] == 1
    assert summary["renamed"] == 0
    assert summary["stories"] == {"train": 4, "test": 2}
    assert summary["kept"] == {"train": 2, "test": 1}


def test_ids_counted_anew_in_each_split_lose_no_story(tmp_path: Path) -> None:
    train = [story_row(str(n), n_frames=5 + n) for n in range(3)]
    test = [story_row(name, n_frames=5) for name in ("test/1", "0", "1", "7", "0")]
    out = run(tmp_path, train, test)
    assert list(kept(out, "train")) == ["0", "1", "2"]
    assert list(kept(out, "test")) == ["test/1", "test/0", "test/test/1", "7"]
    assert kept(out, "test")["test/test/1"][0] == "Frame 1 of 1 tells it."
    assert [(row["story_id"], row["row"], row["kind"]) for row in quarantine(out)] == [
        ("0", 4, "duplicate_id")
    ]
    assert read_json(out / "summary.json")["renamed"] == 2
    # the names are what a split needs: each story once
    splits = make_splits(story_lengths(out / "frames.parquet"), 4, "official", 0.3, 0)
    assert splits["test"] == ["7", "test/0", "test/1", "test/test/1"]
    write_json(out / "splits.json", splits)
    assert read_splits(out / "splits.json")["test"] == splits["test"]


def test_stories_that_train_and_test_share_are_counted(tmp_path: Path) -> None:
    same = story_row("x")
    train = [same, story_row("y"), same | {"story_id": "twin in train"}]
    images = [{"bytes": encoded_image(9), "path": None}] * 5
    test = [
        same,
        same | {"story_id": "under another id"},
        same | {"story_id": "other pictures", "images": images},
        story_row("other words"),
    ]
    out = run(tmp_path, train, test)
    assert read_json(out / "summary.json")["in_both_splits"] == 2
    assert len(kept(out, "test")) == 4
    assert (
        read_json(run(tmp_path / "apart", train, test[2:]) / "summary.json")["in_both_splits"] == 0
    )


@pytest.mark.parametrize(
    ("changes", "frames", "detail"),
    [
        ({"images": {2: b"no image"}}, 2, "2 frames are kept; image: image 3: "),
        ({"images": {3: None}}, 3, "3 frames are kept; image: image 4 has no bytes"),
        ({"captions": [2, 4]}, 1, "1 frames are kept; empty_caption: frame 2, 4 of 5"),
        ({"captions": [5], "images": {3: b""}}, 3, "3 frames are kept; image: image 4"),
        ({"captions": [2], "images": {3: b""}}, 1, "1 frames are kept; empty_caption: frame 2"),
    ],
)
def test_a_bad_frame_may_cost_only_what_comes_after_it(
    tmp_path: Path, changes: dict[str, Any], frames: int, detail: str
) -> None:
    row = story_row("s")
    for place, data in changes.get("images", {}).items():
        row["images"][place] = {"bytes": data, "path": None}
    for number in changes.get("captions", []):
        words = f"<gdo char1>Frame</gdo> {number} of s <gda char1>tells</gda> it."
        assert words in row["story"]
        row["story"] = row["story"].replace(words, "")
    rows = [story_row("a"), row, story_row("b")]
    out = run(tmp_path / "cut", rows, [], "cut")
    (entry,) = quarantine(out)
    assert (entry["story_id"], entry["row"], entry["kind"]) == ("s", 1, "cut")
    assert entry["detail"].startswith(detail)
    assert kept(out, "train")["s"] == [f"Frame {n + 1} of s tells it." for n in range(frames)]
    summary = read_json(out / "summary.json")
    assert (summary["cut"], summary["kept"]["train"]) == (1, 3)
    assert summary["frames"] == 10 + frames
    assert summary["quarantined"]["total"] == 0

    out = run(tmp_path / "story", rows, [])
    assert list(kept(out, "train")) == ["a", "b"]
    assert quarantine(out)[0]["kind"] in ("image", "empty_caption")


def test_a_story_whose_first_frame_is_bad_is_refused_by_cut_too(tmp_path: Path) -> None:
    images = [{"bytes": b"no image", "path": None}, *story_row("s")["images"][1:]]
    out = run(tmp_path, [story_row("a"), story_row("s", images=images)], [], "cut")
    assert [row["kind"] for row in quarantine(out)] == ["image"]
    assert list(kept(out, "train")) == ["a"]
    assert read_json(out / "summary.json")["cut"] == 0


def test_the_summary_agrees_with_figures_worked_out_directly(tmp_path: Path) -> None:
    lengths = [5, 6, 6, 9, 13, 20]
    train = [story_row(f"s{n}", n_frames=frames) for n, frames in enumerate(lengths)]
    wide = [{"bytes": encoded_image(n, size=(96, 30)), "path": None} for n in range(5)]
    words = "".join(f"<gdi image{n}>{'word ' * n}</gdi>" for n in range(1, 6))
    train.append(story_row("wide", images=wide, story=words))
    train.append(story_row("wrong", frame_count=1))
    table = read_json(run(tmp_path, train, [story_row("t")]) / "summary.json")

    frames = [*lengths, 5, 5]
    assert table["stories"] == {"train": 8, "test": 1}
    assert table["columns"] == 5
    assert table["frame_count_valid"] == round(8 / 9, 4)
    assert table["frames"] == sum(frames)
    assert table["frames_per_story"] == {
        "mean": pytest.approx(statistics.mean(frames), abs=1e-4),
        "median": statistics.median(frames),
        "min": 5,
        "max": 20,
    }
    counts = [6] * (sum(lengths) + 5) + [1, 2, 3, 4, 5]
    assert table["words_per_caption"] == {
        "mean": pytest.approx(statistics.mean(counts), abs=1e-4),
        "variance": pytest.approx(statistics.pvariance(counts), abs=1e-4),
    }
    widths = [48] * (sum(lengths) + 5) + [96] * 5
    assert table["image_width"] == {
        "min": 48,
        "mean": pytest.approx(statistics.mean(widths), abs=1e-4),
        "max": 96,
    }
    assert table["image_height"]["max"] == 30


def test_the_same_stories_give_the_same_bytes(tmp_path: Path) -> None:
    rows = [story_row(f"s{n}") for n in range(20)] + [broken("cut off"), broken("garbage")]
    one, two = (run(tmp_path / name, rows, [story_row("t")]) for name in ("one", "two"))
    plots = [f"plots/{path.name}" for path in (one / "plots").iterdir()]
    assert len(plots) == 6
    for file in ("frames.parquet", "summary.json", "quarantine.jsonl", *plots):
        assert (one / file).read_bytes() == (two / file).read_bytes()


def test_the_quarantine_is_short_and_names_no_address(tmp_path: Path) -> None:
    """Pillow's message holds the address of the object that it could not read."""
    rows = [broken("garbage"), story_row("x\n" * 5_000), story_row("x\n" * 5_000), story_row("t")]
    refused = quarantine(run(tmp_path, rows, []))
    assert [row["kind"] for row in refused] == ["image", "duplicate_id"]
    for row in refused:
        assert 0 < len(row["detail"]) <= 300
        assert row["detail"].isprintable()
        assert "0x" not in row["detail"]


def test_no_story_that_can_be_used_is_an_error_and_the_quarantine_tells_why(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"0 of 1 stories kept, 1 refused \(1 frame_count\)"):
        run(tmp_path, [broken("frame_count")], [])
    assert len(quarantine(tmp_path / "stories")) == 1


def test_files_outside_the_splits_are_an_error(tmp_path: Path) -> None:
    write_stories([story_row("s")], tmp_path / "raw")
    with pytest.raises(UserError, match="neither in"):
        run(tmp_path, [story_row("t")], [])


# --- which stories are the same

IDS = st.text("01/ts", max_size=3) | st.sampled_from(["test/0", "test/test/0", "train/0"])


def identified(story_id: str, caption: str = "Ann walks.") -> Story:
    return Story(story_id, [caption], [bytes(32)], [(4, 3)])


@given(st.lists(IDS, unique=True), st.lists(IDS, unique=True))
def test_every_story_has_a_name_of_its_own_and_only_what_must_is_renamed(
    train: list[str], test: list[str]
) -> None:
    identity = Identity()
    names = [identity.named("train", identified(name)).story_id for name in train]
    assert names == train
    names += [identity.named("test", identified(name)).story_id for name in test]
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
            one = identified(f"{n:0200d}", f"Caption {n}. " * 100)
            identity.is_elsewhere("train", one)
            identity.named("train", one)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 5_000 * 600
