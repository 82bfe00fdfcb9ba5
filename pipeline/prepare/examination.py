"""What one row must be to be used: the checks of a story, and what it gives when it passes them."""

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.common.errors import UserError
from pipeline.images.pixels import LARGEST, check
from pipeline.prepare.grounding import frame_captions, has_frame_tags, plain_captions
from pipeline.stories.columns import NEEDED
from pipeline.stories.frames import content_key

REASONS = {
    "null_field": "A column that every story needs is null.",
    "duplicate_id": "The story's id was taken by an earlier row of its split.",
    "no_frames": "The story has no images.",
    "frame_count": "The column frame_count or the list of captions disagrees with the images.",
    "no_frame_tags": "No tag of the story's text marks a frame.",
    "unreadable": "A file of the story cannot be read, or is not what it should be.",
    "image": "An image of the story cannot be decoded, or is too large.",
    "empty_caption": "A frame of the story has no caption.",
}


@dataclass(frozen=True)
class Refusal:
    """Why a story, or the rest of it, is refused: a key of `REASONS`, and the particulars."""

    kind: str
    detail: str


@dataclass(frozen=True)
class Story:
    """A story that passed: one entry per frame in each list."""

    story_id: str
    captions: list[str]
    image_keys: list[bytes]
    sizes: list[tuple[int, int]]  # width, height in pixels, of the upright image
    cut: Refusal | None = None
    """What is wrong with the frame before which the story was cut; None for a whole story."""


def examine(
    row: dict[str, Any],
    bad_frame: Literal["story", "cut"] = "story",
    max_megapixels: float = LARGEST,
) -> Story | Refusal:
    """Check one row on its own, every image decoded, and take its captions, tagged or plain.

    Whether the id is unique is not seen here. Of what is wrong with a row as a whole, the first in
    the order of `REASONS` is reported, and after that the first bad frame. Safe to call from
    several threads.

    Args:
        row: a story with the columns of `NEEDED`; a `frame_count`, if given, must be right.
        bad_frame: what a frame without a sound image and a caption costs: its `story`, or what
            comes after it, itself included (`cut`), as long as a frame is left.
        max_megapixels: millions of pixels above which an image is refused.
    """
    nulls = [name for name in NEEDED if row[name] is None]
    if nulls:
        return Refusal("null_field", ", ".join(nulls))
    images, counted = row["images"], row.get("frame_count")
    if not images:
        return Refusal("no_frames", "the list of images is empty")
    if counted is not None and counted != len(images):
        return Refusal("frame_count", f"frame_count {counted}, {len(images)} images")
    if isinstance(row["story"], list):
        captions = plain_captions(row["story"])
        if len(captions) != len(images):
            return Refusal("frame_count", f"{len(captions)} captions, {len(images)} images")
    else:
        captions = frame_captions(row["story"], len(images))
        if not any(captions) and not has_frame_tags(row["story"]):
            return Refusal("no_frame_tags", "the text has no tag such as <gdi image1>")
    keys, sizes = [], []
    fault = None
    for number, (image, caption) in enumerate(zip(images, captions, strict=True), start=1):
        encoded = None if image is None else image["bytes"]
        if encoded is None and image and image["path"]:
            fault = Refusal("unreadable", image["path"])
            break
        if not caption:
            empty = [str(n) for n, words in enumerate(captions, start=1) if not words]
            fault = Refusal("empty_caption", f"frame {', '.join(empty)} of {len(images)}")
            break
        if encoded is None:
            fault = Refusal("image", f"image {number} has no bytes")
            break
        try:
            sizes.append(check(encoded, max_megapixels, "dataset.max_megapixels"))
        except UserError as error:
            fault = Refusal("image", f"image {number}: {error}")
            break
        keys.append(content_key(encoded))
    if fault and (bad_frame == "story" or not keys):
        return fault
    return Story(row["story_id"], captions[: len(keys)], keys, sizes, fault)
