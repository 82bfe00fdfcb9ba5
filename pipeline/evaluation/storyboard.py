"""A prediction as a picture: the context frames with their captions, the target with two.

python -m pipeline.evaluation.storyboard --story 2024-00006 --out story.jpg
"""

from __future__ import annotations

import argparse
import io
import json
import textwrap
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from pipeline.errors import UserError, exit_cleanly
from pipeline.stories.parquet import open_parquet

FRAME_HEIGHT, MARGIN, GUTTER = 180, 16, 14  # pixels
LINE_HEIGHT, FONT_SIZE, CHARACTER_WIDTH = 18, 14, 7.0
PAPER, INK, QUIET, ACCENT = "#ffffff", "#1d2433", "#5b6478", "#0b6e4f"

Place = dict[str, Any]
Paragraph = tuple[str, str]
"""Colour and text."""


def draw_storyboard(prediction: dict[str, Any], raw: Path) -> Image.Image:
    """Draw one record of predictions.jsonl.

    Args:
        prediction: the record; `raw` is the folder of the stories that its images lie in.
    """
    places = [*prediction["context_images"], prediction["target_image"]]
    frames = [_scaled(read_image(raw, place)) for place in places]
    columns: list[list[Paragraph]] = [[(INK, caption)] for caption in prediction["context"]]
    columns.append(
        [
            (ACCENT, f"Predicted (cosine {prediction['score']:.2f})"),
            (ACCENT, prediction["prediction"]),
            (QUIET, f"True (cosine {prediction['reference_score']:.2f})"),
            (QUIET, prediction["reference"]),
        ]
    )
    width = frames[0].width
    lines = [_wrapped(column, width) for column in columns]
    canvas = Image.new(
        "RGB",
        (
            2 * MARGIN + len(frames) * (width + GUTTER) - GUTTER,
            2 * MARGIN + FRAME_HEIGHT + LINE_HEIGHT * (max(map(len, lines)) + 2),
        ),
        PAPER,
    )
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT_SIZE)
    for i, (frame, column) in enumerate(zip(frames, lines, strict=True)):
        left, top = MARGIN + i * (width + GUTTER), MARGIN
        title = "the next frame" if i == len(frames) - 1 else f"frame {i + 1}"
        pen.text((left, top), title, QUIET, font)
        top += LINE_HEIGHT + 4
        canvas.paste(frame, (left, top))
        top += FRAME_HEIGHT + 6
        for colour, line in column:
            pen.text((left, top), line, colour, font)
            top += LINE_HEIGHT
    return canvas


def read_image(raw: Path, place: Place) -> Image.Image:
    """The image at `place` (file, row in it, index in the row's list).

    Raises UserError when the file is not there or damaged.
    """
    path = raw / place["file"]
    row = int(place["row"])
    with open_parquet(path, "download") as file:
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if row < rows:
                images = file.read_row_group(group, columns=["images"])["images"][row]
                data = images[int(place["index"])]["bytes"].as_py()
                return Image.open(io.BytesIO(data)).convert("RGB")
            row -= rows
    raise UserError(f"{path} has no row {place['row']}: run dvc repro to make both anew")


def find_prediction(path: Path, story_id: str) -> dict[str, Any]:
    """The record of a story in predictions.jsonl; UserError when there is none."""
    if not path.is_file():
        raise UserError(f"{path} is missing: run dvc repro to make it")
    with path.open(encoding="utf-8") as file:
        for line in file:
            record: dict[str, Any] = json.loads(line)
            if record["story_id"] == story_id:
                return record
    raise UserError(f"{path} has no story {story_id}: take an id of the val or test split")


def _scaled(frame: Image.Image) -> Image.Image:
    return frame.resize((round(frame.width * FRAME_HEIGHT / frame.height), FRAME_HEIGHT))


def _wrapped(paragraphs: list[Paragraph], width: int) -> list[Paragraph]:
    columns = int(width / CHARACTER_WIDTH)
    return [(colour, line) for colour, text in paragraphs for line in textwrap.wrap(text, columns)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw a prediction with its context.")
    parser.add_argument("--story", required=True, help="a story id of predictions.jsonl")
    parser.add_argument("--predictions", type=Path, default=Path("data/eval/predictions.jsonl"))
    parser.add_argument("--raw", type=Path, default=Path("data/raw"))
    parser.add_argument("--out", type=Path, required=True, help="picture to write")
    args = parser.parse_args()
    draw_storyboard(find_prediction(args.predictions, args.story), args.raw).save(args.out)


if __name__ == "__main__":
    exit_cleanly(main)
