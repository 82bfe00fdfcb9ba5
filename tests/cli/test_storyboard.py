"""A prediction drawn with its context: the right frames, and errors that help."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from pipeline.cli.storyboard import draw_storyboard, find_prediction
from pipeline.common.errors import UserError
from pipeline.images.reader import Place, read_pictures
from pipeline.stories.schema import write_stories
from pipeline.storyworld.rows import story_row
from tests.stories.story_rows import story_row as plain_row


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


def test_five_frames_stand_in_a_row_and_long_captions_have_room(raw: Path) -> None:
    short, long = draw_storyboard(prediction(), raw), draw_storyboard(prediction("word " * 90), raw)
    (frame,) = read_pictures(raw, [Place("train/00000.parquet", 1, 0)])
    assert short.width > 5 * frame.width * 180 / 240
    assert long.width == short.width and long.height > short.height
    assert np.array_equal(np.asarray(short)[54:150, 16:200], np.asarray(long)[54:150, 16:200])
    scaled = frame.resize((round(frame.width * 180 / frame.height), 180))
    assert np.array_equal(np.asarray(short)[38:218, 16 : 16 + scaled.width], np.asarray(scaled))


def test_frames_of_any_shape_stand_beside_each_other(tmp_path: Path) -> None:
    """Slivers, and frames wider or taller than the first: each stays within its column."""
    shapes = [(20_000, 1), (1, 20_000), (300, 180), (1, 1), (90, 700)]
    colours = ["red", "green", "blue", "black", "purple"]
    for first in range(5):
        images = []
        for shape, colour in zip(shapes, colours, strict=True):
            file = io.BytesIO()
            Image.new("RGB", shape, colour).save(file, "PNG")
            images.append({"bytes": file.getvalue(), "path": None})
        row = plain_row("board", images=images[first:] + images[:first])
        write_stories([row, row], tmp_path / "train")
        board = draw_storyboard(prediction("word " * 90), tmp_path)
        assert 5 * 120 < board.width < 5 * 500 and 218 < board.height < 2000
        for i, colour in enumerate(colours[first:] + colours[:first]):
            column = (board.width - 2 * 16 + 14) // 5
            corner = board.getpixel((16 + i * column, 38))
            assert corner == ImageColor.getrgb(colour)


def test_what_is_missing_is_named(raw: Path, tmp_path: Path) -> None:
    gone = {"file": "train/gone.parquet", "row": 0, "index": 0}
    with pytest.raises(UserError, match=r"gone\.parquet is missing"):
        draw_storyboard(prediction() | {"target_image": gone}, raw)
    with pytest.raises(UserError, match="no image 0 in row 9"):
        draw_storyboard(prediction() | {"target_image": place(9, 0)}, raw)
    path = tmp_path / "predictions.jsonl"
    with pytest.raises(UserError, match="is missing"):
        find_prediction(path, "board-1")
    path.write_text(json.dumps(prediction()) + "\n")
    assert find_prediction(path, "board-1")["prediction"] == "He waved."
    with pytest.raises(UserError, match="no story board-7"):
        find_prediction(path, "board-7")
