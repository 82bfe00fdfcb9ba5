"""What one row must be to be used: the checks of a story, and what it gives when it passes them."""

import io
import warnings
from dataclasses import dataclass
from typing import Any

from PIL import Image

from pipeline.stories.frames import content_key
from pipeline.stories.grounding import frame_captions
from pipeline.stories.schema import STORY_SCHEMA

REASONS = {
    "null_field": "A column of the story is null.",
    "duplicate_id": "The story's id was taken by an earlier row.",
    "no_frames": "The story has no images.",
    "frame_count": "The column frame_count disagrees with the number of images.",
    "image": "An image of the story cannot be decoded.",
    "empty_caption": "A frame of the story has no caption.",
}


@dataclass(frozen=True)
class Refusal:
    """Why a story is refused: a key of `REASONS`, and the particulars."""

    kind: str
    detail: str


@dataclass(frozen=True)
class Story:
    """A story that passed: one entry per frame in each list."""

    story_id: str
    captions: list[str]
    image_keys: list[bytes]
    sizes: list[tuple[int, int]]  # width, height in pixels


def examine(row: dict[str, Any]) -> Story | Refusal:
    """Check one row on its own, every image decoded, and take its captions from the tags.

    Whether the id is unique is not seen here. The first check that fails, in the order of
    `REASONS`, is the one that is reported. Safe to call from several threads.
    """
    nulls = [name for name in STORY_SCHEMA.names if row[name] is None]
    if nulls:
        return Refusal("null_field", ", ".join(nulls))
    images = row["images"]
    if not images:
        return Refusal("no_frames", "the list of images is empty")
    if row["frame_count"] != len(images):
        return Refusal("frame_count", f"frame_count {row['frame_count']}, {len(images)} images")
    keys, sizes = [], []
    for number, image in enumerate(images, start=1):
        encoded = None if image is None else image["bytes"]
        if encoded is None:
            return Refusal("image", f"image {number} has no bytes")
        try:
            sizes.append(_decode(encoded))
        except Exception as error:  # decoders of damaged bytes raise whatever they run into
            return Refusal("image", f"image {number}: {type(error).__name__}: {error}"[:300])
        keys.append(content_key(encoded))
    captions = frame_captions(row["story"], len(images))
    empty = [str(number) for number, caption in enumerate(captions, start=1) if not caption]
    if empty:
        return Refusal("empty_caption", f"frame {', '.join(empty)} of {len(images)}")
    return Story(row["story_id"], captions, keys, sizes)


def _decode(encoded: bytes) -> tuple[int, int]:
    """Decode an image to its last byte, since `verify` lets cut-off JPEGs pass; return its size.

    A JPEG is decoded at an eighth of its size where it can be: all its data are still read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large images and odd metadata: neither is a fault
        with Image.open(io.BytesIO(encoded)) as image:
            size = image.size
            image.draft("RGB", (max(1, size[0] // 8), max(1, size[1] // 8)))
            image.load()
            if image.mode not in ("RGB", "L"):
                image.convert("RGB")
    return size
