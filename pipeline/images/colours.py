"""Whatever mode an image is decoded in, to 8-bit sRGB as a viewer shows it."""

import functools
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin, features

from pipeline.common.errors import UserError

DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
"""Grey of more than 8 bits, which Pillow's `convert` would clip."""
UNMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
"""Modes whose colours are multiplied by alpha -> those whose are not."""
GREY_MODES = ("1", "L", "LA")
WHITE_IS_ZERO = 0
"""The photometric interpretation of such a TIFF. Pillow minds it at 8 bits alone."""

NEARLY_BLACK = 1 / 16
SAME_COLOUR = 2
"""A profile that moves no colour by more levels than this is sRGB: its editions differ by one."""


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert a decoded image to RGB in sRGB, composited on white where it is transparent.

    The colour profile that it carries is followed; one that is broken, or of another kind of
    colours, is ignored, and one that is sRGB itself leaves every bit as it is. Without a profile,
    colours are taken for sRGB, and CMYK is converted plainly. Grey of 16 bits is scaled by 257;
    for grey of 32 bits, whole or floating, see `_range`.

    Raises:
        UserError: if this build of Pillow cannot convert profiles.
    """
    profile = image.info.get("icc_profile")
    alpha = None
    if image.mode in DEEP_MODES:
        image, alpha = _eight_bits(image)
    elif image.has_transparency_data:
        if image.mode in UNMULTIPLIED:
            image = image.convert(UNMULTIPLIED[image.mode])
        full = image if "A" in image.getbands() else image.convert("RGBA")
        alpha = full.getchannel("A")
        image.info.pop("transparency", None)  # or `convert` would look after it
        image = image.convert("L" if image.mode in GREY_MODES else "RGB")
    if profile and image.mode != "LAB":
        image = _by_profile(image, profile)
    if image.mode != "RGB":
        image = image.convert("RGB")
    if alpha is None or alpha.getextrema() == (255, 255):
        return image
    paper = Image.new("RGB", image.size, "white")
    paper.paste(image, mask=alpha)
    return paper


def _eight_bits(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Scale deep grey to mode L; beside it its alpha, where one of its levels is transparent."""
    values, alpha = np.asarray(image), None
    if (clear := image.info.get("transparency")) is not None:
        alpha = Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    if image.mode == "I" and tags.get(TiffImagePlugin.SAMPLEFORMAT) == (1,):
        values = values.view(np.uint32)  # Pillow has no such mode
    if image.mode.startswith("I;16") or image.format == "PPM":
        black, white = 0.0, 2.0 ** tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0] - 1
    else:
        black, white = _range(values)
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO:
        black, white = white, black
    scale = 255 / (white - black) if white != black else 0.0
    with np.errstate(invalid="ignore"):  # of infinities
        levels = np.rint((values.astype(np.float32) - np.float32(black)) * np.float32(scale))
    return Image.fromarray(np.nan_to_num(levels).clip(0, 255).astype(np.uint8)), alpha


def _range(values: NDArray[np.generic]) -> tuple[float, float]:
    """The values of black and white.

    No file says what they are, so that the usual ones are tried: from 0 to 1 (of floats), to 255,
    to 65535, the first that holds all the values. Where there are values beyond, or the image would
    be nearly black, the range is that of the values.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    usual = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
    white = next((white for white in usual if high <= white), None)
    if low >= 0 and white is not None and (white == usual[0] or high >= white * NEARLY_BLACK):
        return 0.0, white
    return low, high


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image:
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    transform = _transform(profile, image.mode)
    return image if transform is None else transform.apply(image)


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What converts `mode` under a profile to sRGB; None where nothing is to be done."""
    if not features.check("littlecms2"):
        raise UserError(
            "the image has a colour profile, and this build of Pillow lacks LittleCMS to convert "
            "it; install Pillow's own wheel"
        )
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        # The shortcut that LittleCMS finds for grey is several levels off in the dark.
        flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
        transform = ImageCms.buildTransform(source, target, mode, "RGB", flags=flags)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None  # broken, or for other colours than the image's
    if mode == "CMYK":
        return transform
    colours = Image.fromarray(_every_colour()).convert(mode)
    moved = np.asarray(transform.apply(colours), np.int16) - np.asarray(colours.convert("RGB"))
    return transform if np.abs(moved).max() > SAME_COLOUR else None


def _every_colour() -> NDArray[np.uint8]:
    """Colours from all over RGB and all greys: uint8 [1, 17^3 + 256, 3]."""
    steps = np.linspace(0, 255, 17).astype(np.uint8)
    mixed = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    return np.concatenate([mixed, greys])[None]
