"""Encoded image bytes to the square of pixels that CLIP sees, with Pillow.

`crop` gives what transformers' CLIPImageProcessor (its Pillow backend) gives, without its detours
over arrays; a test compares the two. A centre crop discards the sides of a film frame, hence `pad`
and `squash`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from pipeline.common.errors import UserError
from pipeline.images.pixels import decode

FITS = ("crop", "pad", "squash")
LONGEST = 256
"""Times its shorter side, the length up to which an image is scaled as a whole."""
COLOURS = {
    "image_mean": (0.48145466, 0.4578275, 0.40821073),
    "image_std": (0.26862954, 0.26130258, 0.27577711),
}
"""Those of the published CLIP, where a processor leaves them out."""


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
        steps = {  # null is no, as in Transformers
            name: bool(processor.get(f"do_{name}", True))
            for name in ("resize", "center_crop", "rescale", "normalize")
        }
        try:
            settings = {name: value for name, value in processor.items() if value is not None}
            fit, edge = _geometry(settings, steps, fit, image_size)
            mean, std = (_per_channel(settings, name) for name in COLOURS)
            resample = Image.Resampling(settings.get("resample", Image.Resampling.BICUBIC))
            scale = float(settings.get("rescale_factor", 1 / 255))
        except _UnsuitableError as error:
            raise UserError(f"the image processor of {model} {error}") from None
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise UserError(
                f"the image processor of {model} has settings that CLIPImageProcessor cannot have "
                "had; use the processor saved with the model"
            ) from error
        return cls(
            fit,
            image_size,
            edge,
            int(resample),
            scale if steps["rescale"] else 1.0,
            mean if steps["normalize"] else (0.0, 0.0, 0.0),
            std if steps["normalize"] else (1.0, 1.0, 1.0),
        )

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


class _UnsuitableError(Exception):
    """What is wrong with an image processor, and what to do, as the rest of a sentence."""


def _geometry(
    settings: dict[str, Any], steps: dict[str, bool], fit: str, image_size: int
) -> tuple[str, int]:
    """How frames become the model's square, and the shorter side that they are scaled to first."""
    kind = settings.get("image_processor_type", settings.get("feature_extractor_type", "CLIP"))
    if not kind.startswith("CLIP"):
        raise _UnsuitableError(f"is a {kind}; a CLIPImageProcessor is needed")
    crop = settings.get("crop_size", image_size)
    sides = {crop} if isinstance(crop, int) else set(crop.values())
    size = settings.get("size", max(sides))
    scaled = {"shortest_edge": size} if isinstance(size, int) else size
    edge = min(scaled.values())
    if (steps["center_crop"] and sides != {image_size}) or edge < image_size:
        raise _UnsuitableError(
            f"gives {max(sides)} pixels from a shorter side of {edge}, but the model takes "
            f"{image_size}; use the processor saved with the model"
        )
    if fit != "crop":
        return fit, edge
    if not steps["resize"]:
        raise _UnsuitableError("does not resize (do_resize); set clip.image_fit to pad or squash")
    if set(scaled) == {"height", "width"} and set(scaled.values()) == {image_size}:
        return "squash", edge
    if set(scaled) != {"shortest_edge"} or not steps["center_crop"]:
        raise _UnsuitableError(
            "does not make squares by a centre crop (do_center_crop, size); set clip.image_fit to "
            "pad or squash"
        )
    return fit, edge


def _per_channel(settings: dict[str, Any], name: str) -> tuple[float, ...]:
    """Three numbers, or one for all channels; deviations are never zero."""
    value = settings.get(name, COLOURS[name])
    numbers = (value,) * 3 if isinstance(value, int | float) else tuple(value)
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise _UnsuitableError(f"has {name} {value}, but three numbers are needed")
    if name == "image_std" and 0 in numbers:
        raise _UnsuitableError(
            "divides by an image_std of 0; use the processor saved with the model"
        )
    return tuple(map(float, numbers))
