"""What a model's image processor says of itself, as the Hub's preprocessor_config.json states it.

Old forms are read too. What it asks for is done as Transformers does it, or refused by name.
"""

import math
from typing import Any

from PIL import Image

from pipeline.common.errors import UserError

COLOURS = {
    "image_mean": (0.48145466, 0.4578275, 0.40821073),
    "image_std": (0.26862954, 0.26130258, 0.27577711),
}
"""Those of the published CLIP, where a processor leaves them out."""


class _UnsuitableError(Exception):
    """What is wrong with an image processor, and what to do, as the rest of a sentence."""


def read_processor(
    processor: dict[str, Any], fit: str, image_size: int, model: str
) -> dict[str, Any]:
    """The fields of `ImagePreprocessor` by name; arguments and errors as of its `from_config`."""
    steps = _steps(processor)
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
            f"the image processor of {model} has settings that CLIPImageProcessor cannot have had; "
            "use the processor saved with the model"
        ) from error
    return {
        "fit": fit,
        "size": image_size,
        "shortest_edge": edge,
        "resample": int(resample),
        "scale": scale if steps["rescale"] else 1.0,
        "mean": mean if steps["normalize"] else (0.0, 0.0, 0.0),
        "std": std if steps["normalize"] else (1.0, 1.0, 1.0),
    }


def _steps(processor: dict[str, Any]) -> dict[str, bool]:
    """Which of its steps a processor takes; null is no, as in Transformers."""
    names = ("resize", "center_crop", "rescale", "normalize")
    return {name: bool(processor.get(f"do_{name}", True)) for name in names}


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
