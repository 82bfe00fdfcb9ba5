"""A prediction drawn with its context: the right frames, and errors that help."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.evaluation.storyboard import draw_storyboard, find_prediction, read_image
from pipeline.stories.schema import write_stories
from pipeline.storyworld.rows import story_row


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    write_stories((story_row(f"board-{i}") for i in range(2)), folder / "train")
    return folder


def place(row: int, index: int) -> dict:
    return {"file": "train/00000.parquet", "row": row, "index": index}


def prediction(caption: str = "He waved.") -> dict:
    return {
        "split": "test",
        "story_id": "board-1",
        "context": ["One. Two."] * 4,
        "context_images": [place(1, i) for i in range(4)],
        "target_image": place(1, 4),
        "prediction": caption,
        "reference": "She waved.",
        "finished": True,
        "score": 0.5,
        "reference_score": 0.9,
        "scores": {"model": 0.5, "ground_truth": 0.9},
    }


def test_the_image_is_that_of_the_place(raw: Path) -> None:
    first, second = read_image(raw, place(1, 0)), read_image(raw, place(0, 0))
    assert first.size != second.size or not np.array_equal(first, second)
    assert np.array_equal(first, read_image(raw, place(1, 0)))


def test_five_frames_stand_in_a_row_and_long_captions_have_room(raw: Path) -> None:
    short, long = draw_storyboard(prediction(), raw), draw_storyboard(prediction("word " * 90), raw)
    frame = read_image(raw, place(1, 0))
    assert short.width > 5 * frame.width * 180 / 240
    assert long.width == short.width and long.height > short.height
    assert np.array_equal(np.asarray(short)[54:150, 16:200], np.asarray(long)[54:150, 16:200])


def test_what_is_missing_is_named(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.parquet is missing"):
        read_image(raw, {"file": "train/gone.parquet", "row": 0, "index": 0})
    with pytest.raises(UserError, match="no row 9"):
        read_image(raw, place(9, 0))
    path = tmp_path / "predictions.jsonl"
    with pytest.raises(UserError, match="is missing"):
        find_prediction(path, "board-1")
    path.write_text(json.dumps(prediction()) + "\n")
    assert find_prediction(path, "board-1")["prediction"] == "He waved."
    with pytest.raises(UserError, match="no story board-7"):
        find_prediction(path, "board-7")
