"""What one row must be to be used: the checks of a story, and what it gives when it passes them."""

from dataclasses import dataclass
from typing import Any

from pipeline.errors import UserError
from pipeline.stories.frames import content_key
from pipeline.stories.grounding import frame_captions
from pipeline.stories.pixels import LARGEST, check
from pipeline.stories.schema import STORY_SCHEMA

REASONS = {
    "null_field": "A column of the story is null.",
    "duplicate_id": "The story's id was taken by an earlier row.",
    "no_frames": "The story has no images.",
    "frame_count": "The column frame_count disagrees with the number of images.",
    "image": "An image of the story cannot be decoded, or is too large.",
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
    sizes: list[tuple[int, int]]  # width, height in pixels, of the upright image


def examine(row: dict[str, Any], max_megapixels: float = LARGEST) -> Story | Refusal:
    """Check one row on its own, every image decoded, and take its captions from the tags.

    Whether the id is unique is not seen here. The first check that fails, in the order of
    `REASONS`, is the one that is reported. Safe to call from several threads.

    Args:
        row: a story with the columns of `STORY_SCHEMA`.
        max_megapixels: millions of pixels above which an image is refused.
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
            sizes.append(check(encoded, max_megapixels))
        except UserError as error:
            return Refusal("image", f"image {number}: {error}")
        keys.append(content_key(encoded))
    captions = frame_captions(row["story"], len(images))
    empty = [str(number) for number, caption in enumerate(captions, start=1) if not caption]
    if empty:
        return Refusal("empty_caption", f"frame {', '.join(empty)} of {len(images)}")
    return Story(row["story_id"], captions, keys, sizes)
