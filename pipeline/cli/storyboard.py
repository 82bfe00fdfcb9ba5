"""`storycache storyboard`: context frames with their captions, and the target with two."""

import textwrap
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image, ImageDraw, ImageFont

from pipeline.common.errors import UserError
from pipeline.common.files import replacing
from pipeline.evaluation.results import FOLDER, PREDICTIONS_FILE, Record, images_of, read_records
from pipeline.images.reader import read_pictures

FRAME_HEIGHT, MARGIN, GUTTER = 180, 16, 14  # pixels
NARROWEST, WIDEST = 120, 480  # a column: frames are fitted into it
LINE_HEIGHT, FONT_SIZE, CHARACTER_WIDTH = 18, 14, 7.0
PAPER, INK, QUIET, ACCENT = "#ffffff", "#1d2433", "#5b6478", "#0b6e4f"

Paragraph = tuple[str, str]
"""Colour and text."""


def draw_storyboard(prediction: Record, raw: Path) -> Image.Image:
    """Draw a record of predictions.jsonl, whose images lie in the stories' folder `raw`."""
    pictures = list(read_pictures(raw, images_of(prediction)))
    shape = pictures[0].width / pictures[0].height
    width = min(max(NARROWEST, round(shape * FRAME_HEIGHT)), WIDEST)
    frames = [_fitted(picture, width) for picture in pictures]
    columns: list[list[Paragraph]] = [[(INK, caption)] for caption in prediction["context"]]
    columns.append(
        [
            (ACCENT, f"Predicted (cosine {prediction['score']:.2f})"),
            (ACCENT, prediction["prediction"]),
            (QUIET, f"True (cosine {prediction['reference_score']:.2f})"),
            (QUIET, prediction["reference"]),
        ]
    )
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


def find_prediction(path: Path, story_id: str) -> Record:
    """The record of a story in predictions.jsonl; UserError when there is none."""
    for record in read_records(path):
        if record["story_id"] == story_id:
            return record
    raise UserError(f"{path} has no story {story_id}: take an id of the val or test split")


def _fitted(picture: Image.Image, width: int) -> Image.Image:
    """Scale into a column's frame; of a sliver, one pixel remains."""
    scale = min(width / picture.width, FRAME_HEIGHT / picture.height)
    return picture.resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    )


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture in the format that the end of its name says.

    Raises:
        UserError: there is no such format for pictures of this kind, or it cannot be written.
    """
    form = Image.registered_extensions().get(path.suffix.lower())
    if form not in Image.SAVE or form in ("PDF", "EPS"):
        raise UserError(f"{path} does not end in a picture's format: name it .jpg or .png")
    with replacing(path) as partial:
        picture.save(partial, form)


def _wrapped(paragraphs: list[Paragraph], width: int) -> list[Paragraph]:
    columns = int(width / CHARACTER_WIDTH)
    return [(colour, line) for colour, text in paragraphs for line in textwrap.wrap(text, columns)]


def command(
    story: Annotated[str, typer.Option(help="An id of predictions.jsonl.")],
    out: Annotated[Path, typer.Option(help="Picture to write: .jpg, .png.")],
    predictions: Path = FOLDER / PREDICTIONS_FILE,
    raw: Annotated[Path, typer.Option(help="The stories' folder.")] = Path("data/raw"),
) -> None:
    """Draw a prediction with the frames and captions that it goes on from."""
    save_picture(draw_storyboard(find_prediction(predictions, story), raw), out)
