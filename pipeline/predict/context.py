"""A story of anyone's as a context: pictures and captions, read and embedded as a dataset's are."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import UserError
from pipeline.dataset.story_dataset import Contexts
from pipeline.prepare.grounding import plain_captions

Picture = str | Path | bytes | Image.Image
"""A path, an encoded image, or an image in memory."""

LOSSLESS = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
"""Modes that a PNG holds as they are."""


def read_context(
    clip: FrozenClip,
    k: int,
    does_without: bool,
    images: Sequence[Picture | None],
    captions: Sequence[str | None] | None = None,
) -> Contexts:
    """Embed the last K frames of a story: one context.

    Args:
        does_without: whether frames may lack their image or their caption, and the story may be
            shorter than K; what is not there is zero, and an empty line in the prompt.
        images, captions: of each frame, in order; no captions at all are as many that lack.

    Raises:
        UserError: what is needed is missing, or a picture cannot be read.
    """
    if captions is None:
        captions = [None] * len(images)
    if len(images) != len(captions):
        raise UserError(
            f"there are {len(images)} images and {len(captions)} captions: give one for each"
        )
    before = max(0, len(images) - k)
    pictures, texts = list(images[before:]), plain_captions(captions[before:])
    if not any(picture is not None for picture in pictures) and not any(texts):
        raise UserError("there is no image and no caption to go on from: give some")
    if not does_without:
        _check_whole(pictures, texts, k, before)
    # Frames of which nothing is known stand where the story has not begun.
    lacking = k - len(pictures)
    pictures, texts = [None] * lacking + pictures, [""] * lacking + texts
    pixels = [
        _pixels(clip, picture, number)
        for number, picture in enumerate(pictures, start=before - lacking + 1)
        if picture is not None
    ]
    vectors = (
        clip.encode_images(np.array(pixels)),
        clip.encode_texts([text for text in texts if text]),
    )
    known = ([picture is not None for picture in pictures], [bool(text) for text in texts])
    # Through float16, as the feature store keeps them and the model was trained on.
    stored = [np.zeros((1, k, clip.dim), np.float32) for _ in vectors]
    for rows, where, found in zip(stored, known, vectors, strict=True):
        rows[0, where] = found.astype(np.float16)
    # It is no story of a dataset's, and nothing is kept of it: no id, no key.
    return Contexts([""], stored[0], stored[1], [texts], [b""])


def _check_whole(
    pictures: Sequence[Picture | None], texts: Sequence[str], k: int, before: int
) -> None:
    """Raise UserError unless there are K frames that lack nothing; `before` others are left out."""
    train = "or train a model that does without (fusion.hide_share 0.25)"
    if len(pictures) < k:
        raise UserError(
            f"the model was trained to read {k} frames and has been given {len(pictures)}: give "
            f"{k}, {train}"
        )
    for number, (picture, text) in enumerate(zip(pictures, texts, strict=True), before + 1):
        for there, what in ((picture is not None, "image"), (bool(text), "caption")):
            if not there:
                raise UserError(
                    f"frame {number} has no {what}: the model was trained on frames that all have "
                    f"one, so give it one, {train}"
                )


def _pixels(clip: FrozenClip, picture: Picture, number: int) -> NDArray[np.uint8]:
    try:
        return clip.preprocess(encoded_bytes(picture))
    except UserError as error:
        name = f" ({picture})" if isinstance(picture, str | Path) else ""
        raise UserError(f"image {number}{name}: {error}") from None


def encoded_bytes(image: Picture) -> bytes:
    """The bytes of an encoded image, whatever way it is given.

    Raises UserError if there is no such file, or it may not be read.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, Image.Image):
        buffer = io.BytesIO()
        form = "PNG" if image.mode in LOSSLESS else "TIFF"
        image.save(buffer, form, exif=image.getexif(), icc_profile=image.info.get("icc_profile"))
        return buffer.getvalue()
    try:
        return Path(image).read_bytes()
    except FileNotFoundError:
        raise UserError("there is no such file") from None
    except OSError as error:
        raise UserError(f"it cannot be read ({error.strerror})") from None
