"""The table of annotations between the stages."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.common.errors import UserError
from pipeline.common.parquet import ROWS_PER_GROUP
from pipeline.stories.annotations import (
    ANNOTATIONS_SCHEMA,
    iter_annotations,
    read_annotations,
    writing_annotations,
)
from pipeline.stories.frames import read_frames, writing_frames
from tests.world import jpeg, write_world

FRAMES = [(jpeg(n, 10, 6), f"Frame {n}.") for n in range(3)]


def row(story: str, index: int) -> dict[str, Any]:
    mention = {"kind": "person", "ids": "char1", "text": f"Ann {index}", "told": True}
    return {
        "story_id": story,
        "frame_index": index,
        "caption": f"Frame {index}.",
        "mentions": [mention] * (index % 3),
        "actions": ["walks"],
        "setting": [("time", "noon")],
        "unread": 0,
    }


def test_more_rows_than_a_group_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "annotations.parquet"
    rows = [row("long", index) for index in range(2 * ROWS_PER_GROUP + 10)]
    with writing_annotations(path) as table:
        for start in range(0, len(rows), 1000):
            table.add(rows[start : start + 1000])
        table.add([row("other", 0)])
        assert not path.exists()
    found = [each for batch in iter_annotations(path, ["long"]) for each in batch.to_pylist()]
    assert found == rows


def test_missing_and_foreign_files_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "annotations.parquet"
    with pytest.raises(UserError, match="is missing; run the prepare stage"):
        list(iter_annotations(path, ["s"]))
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="cannot be read as parquet"):
        list(iter_annotations(path, ["s"]))
    with writing_frames(path):
        pass
    with pytest.raises(UserError, match=r"columns of this version.*run dvc repro prepare"):
        list(iter_annotations(path, ["s"]))


@pytest.mark.parametrize("other", [{"a": FRAMES}, {"a": FRAMES[::-1], "b": FRAMES}])
def test_annotations_of_other_frames_are_refused(tmp_path: Path, other: Any) -> None:
    """Of fewer stories, of other captions: they would be scored in silence."""
    world = write_world(tmp_path / "this", {"a": FRAMES, "b": FRAMES})
    frames = read_frames(world.frames, ["story_id", "caption"])
    assert read_annotations(world.annotations, frames).schema.equals(ANNOTATIONS_SCHEMA)
    foreign = write_world(tmp_path / "other", other)
    with pytest.raises(UserError, match="annotates other frames"):
        read_annotations(foreign.annotations, frames)
