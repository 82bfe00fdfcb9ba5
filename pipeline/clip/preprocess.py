"""Encoded image bytes to the square of pixels that CLIP sees, with Pillow.

`crop` gives what transformers' CLIPImageProcessor (its Pillow backend) gives, without its detours
over arrays; a test compares the two. A centre crop discards the sides of a film frame, hence `pad`
and `squash`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from pipeline.clip.processor import read_processor
from pipeline.common.errors import UserError
from pipeline.images.pixels import decode

FITS = ("crop", "pad", "squash")
LONGEST = 256
"""Times its shorter side, the length up to which an image is scaled as a whole."""


@dataclass(frozen=True)
class ImagePreprocessor:
    """Decodes and fits images; the settings are those of the model's own image processor.

    Threads may share one: it holds no state, and Pillow releases the interpreter lock while it
    decodes and resizes.
    """

    fit: str
    size: int
    """Side of the resulting square, in pixels."""
    shortest_edge: int
    """Length that `crop` scales the shorter side to before it cuts the square out, in pixels."""
    resample: int
    """Pillow's number of the resampling filter."""
    scale: float
    mean: tuple[float, ...]
    """Per channel, subtracted after scaling."""
    std: tuple[float, ...]

    @classmethod
    def from_config(
        cls, processor: dict[str, Any], fit: str, image_size: int, model: str = "clip.model"
    ) -> ImagePreprocessor:
        """Read the settings as the Hub's preprocessor_config.json states them, old forms included.

        `crop` is what the model's own processor does; one that squashes frames to the square does
        so here too. Pictures always become RGB, whatever `do_convert_rgb` says: CLIP has no other
        use for them.

        Args:
            processor: the settings; what is left out or null is as in CLIPImageProcessor.
            fit: crop, pad or squash.
            image_size: side of the square that the model takes, in pixels.
            model: what the processor belongs to, for messages.

        Raises:
            UserError: for an unknown fit, or a processor that does not suit the model.
        """
        if fit not in FITS:
            raise UserError(f"clip.image_fit is {fit!r}; it may be one of {', '.join(FITS)}")
        return cls(**read_processor(processor, fit, image_size, model))

    def __call__(self, data: bytes) -> np.ndarray:
        """Decode and fit one image.

        Returns:
            uint8 [3, size, size]; scaling and normalisation are left to the image tower.

        Raises:
            UserError: if the bytes cannot be decoded.
        """
        fitted = getattr(self, f"_{self.fit}")(decode(data))
        return np.ascontiguousarray(np.asarray(fitted).transpose(2, 0, 1))

    def _crop(self, image: Image.Image) -> Image.Image:
        image = _without_ends(image)
        width, height = image.size
        short, long = sorted((width, height))
        scaled = int(self.shortest_edge * long / short)  # truncated, as transformers does
        landscape = width > height
        resized = image.resize(
            (scaled, self.shortest_edge) if landscape else (self.shortest_edge, scaled),
            self.resample,
        )
        left, top = (resized.width - self.size) // 2, (resized.height - self.size) // 2
        return resized.crop((left, top, left + self.size, top + self.size))

    def _pad(self, image: Image.Image) -> Image.Image:
        """Letterbox on the mean colour, which normalisation maps to about zero."""
        ratio = self.size / max(image.size)
        width, height = (max(1, round(side * ratio)) for side in image.size)
        mean_colour = tuple(round(mean / self.scale) for mean in self.mean)
        canvas = Image.new("RGB", (self.size, self.size), mean_colour)
        resized = image.resize((width, height), self.resample)
        canvas.paste(resized, ((self.size - width) // 2, (self.size - height) // 2))
        return canvas

    def _squash(self, image: Image.Image) -> Image.Image:
        return image.resize((self.size, self.size), self.resample)


def _without_ends(image: Image.Image) -> Image.Image:
    """Shorten a sliver, which would be scaled to gigabytes before its middle is cut out.

    Whole multiples of the shorter side go, the same at both ends: the rest is then scaled to the
    very grid of pixels that it had in the whole. Other images stay as they are.
    """
    width, height = image.size
    short = min(width, height)
    excess = max(0, max(width, height) // short - LONGEST)
    x, y = (short * ((excess + 1) // 2) if side > short else 0 for side in (width, height))
    return image.crop((x, y, width - x, height - y)) if excess else image
