"""What prepare notes of each frame beside its caption."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.prepare.annotations import annotations
from pipeline.prepare.catalogue import prepare
from pipeline.stories.annotations import iter_annotations
from pipeline.stories.frames import read_frames
from pipeline.stories.schema import write_stories
from tests.stories.story_rows import story_row

STORY = """<gdi image1><gdo char1>Ann</gdo> <gda char1>enters</gda> <gdl bg1>the hall</gdl> with
<gdo obj3>a lamp</gdo> by <gdo bg2 bg4>the walls</gdo>.</gdi>
<gdi image2><gdo char1>She</gdo> looks at <gdl>the river</gdl>.</gdi>"""
THOUGHTS = """## Image 1
| Character ID | Name | Actions |
| char1 | Ann | Enters |
| char2 |

| Object ID | Description |
| obj3 | An oil lamp |
| lm1 | A tower |

| Setting Element | Description | Time |
| Location | Old hall | Night |
"""


def mention(kind: str, ids: str, text: str, told: bool = True) -> dict[str, Any]:
    return {"kind": kind, "ids": ids, "text": text, "told": told}


def test_a_row_has_what_tags_and_tables_say_of_its_frame() -> None:
    first, second = annotations("s", ["Ann enters.", "She looks."], STORY, THOUGHTS)
    assert first == {
        "story_id": "s",
        "frame_index": 0,
        "caption": "Ann enters.",
        "mentions": [
            mention("person", "char1", "Ann"),
            mention("place", "bg1", "the hall"),
            mention("thing", "obj3", "a lamp"),
            mention("place", "bg2 bg4", "the walls"),
            mention("person", "char1", "Ann", told=False),
            mention("thing", "obj3", "An oil lamp", told=False),
            mention("place", "lm1", "A tower", told=False),
            mention("place", "", "Old hall", told=False),
        ],
        "actions": ["Enters"],
        "setting": [("time", "Night"), ("location", "Old hall")],
        "unread": 1,
    }
    assert second["mentions"] == [
        mention("person", "char1", "She"),
        mention("place", "", "the river"),
    ]
    assert (second["frame_index"], second["actions"], second["unread"]) == (1, [], 0)


@pytest.mark.parametrize(
    ("story", "thoughts"), [(["<gdo char1>Ann</gdo> walks."], None), ("no tags", "no tables")]
)
def test_where_nothing_is_said_rows_are_empty(story: Any, thoughts: str | None) -> None:
    """Tags in captions that are given one by one are text."""
    (row,) = annotations("s", ["Ann walks."], story, thoughts)
    assert row["mentions"] == row["actions"] == row["setting"] == [] and row["unread"] == 0


@given(st.text(), st.text(), st.integers(1, 3))
def test_no_text_raises(story: str, thoughts: str, n_frames: int) -> None:
    assert len(annotations("s", ["a"] * n_frames, story, thoughts)) == n_frames


def test_prepare_annotates_every_frame_it_keeps_and_no_other(tmp_path: Path) -> None:
    """Refused stories have no rows, cut ones those that are left, renamed ones their new name."""
    cut = story_row("cut", 4, chain_of_thought=THOUGHTS)
    cut["images"][2]["bytes"] = b"no picture"
    train = [
        story_row("whole", 3, chain_of_thought=None),
        story_row("refused", 3, story="no tags"),
        cut,
        story_row("plain", 2, story=["Ann walks.", "Bo runs."]),
    ]
    write_stories(train, tmp_path / "raw/train", rows_per_file=2)
    write_stories([story_row("whole", 2)], tmp_path / "raw/test")
    names = ("frames.parquet", "annotations.parquet", "summary.json", "refused.jsonl", "plots")
    prepare(tmp_path / "raw", *(tmp_path / name for name in names), "cut")
    frames = read_frames(tmp_path / "frames.parquet", ["story_id", "frame_index", "caption"])
    kept = ["whole", "cut", "plain", "test/whole"]
    (batch,) = iter_annotations(tmp_path / "annotations.parquet", kept)
    rows = batch.to_pylist()
    shared = [{name: row[name] for name in frames.column_names} for row in rows]
    assert shared == frames.to_pylist()
    by_story = {row["story_id"]: row for row in rows if row["frame_index"] == 0}
    assert [m["text"] for m in by_story["whole"]["mentions"]] == ["Frame"]
    assert [m["text"] for m in by_story["cut"]["mentions"]][:2] == ["Frame", "Ann"]
    assert by_story["cut"]["setting"] == [("time", "Night"), ("location", "Old hall")]
    assert by_story["plain"]["mentions"] == []
