"""Encoded images to pixels as a viewer shows them: the only decoder of what a dataset holds."""

import io
import re
import warnings
from collections.abc import Callable
from typing import TypeVar

from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from pipeline.common.errors import UserError
from pipeline.images.colours import to_srgb

Result = TypeVar("Result")

FORMATS = (
    *("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "JPEG2000"),
    *("PPM", "QOI", "PCX", "SGI", "ICO", "TGA"),
)
"""Raster formats alone: to some of the others Pillow starts a program (to EPS, Ghostscript)."""

UNREAD = {
    "HEIC": rb".{4}ftyp(?!.{0,80}avi[fs]).{0,80}(?:hei[cmsx]|hev[cmsx]|mif1|msf1)",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "EPS": rb"%!PS|\xc5\xd0\xd3\xc6",
    "PDF": rb"%PDF-",
    "SVG": rb"(?:\xef\xbb\xbf)?\s*(?=<(?:\?xml|!--|!DOCTYPE svg|svg)).*?<svg",
}
"""Formats that people keep pictures in and that are not read, with how their files begin."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What an EXIF orientation asks for. Pillow's `exif_transpose` does it too, but then writes the
EXIF block anew, which fails where the block is damaged."""
SIDEWAYS = 5
"""From this orientation on, width and height change places."""

LARGEST = 178.0
"""Millions of pixels above which Pillow itself refuses an image."""
MOST_SCANS = 100
"""Of a JPEG. Encoders write about ten; each is a pass over all pixels, however few its bytes."""

# Of large pictures and odd metadata, neither of them a fault. Set once and for all, since threads
# would undo each other's `catch_warnings`.
warnings.filterwarnings("ignore", module="PIL")


def decode(encoded: bytes) -> Image.Image:
    """Decode an image to mode RGB: upright, in sRGB, on white; of an animation the first frame.

    The result is pixels alone, without the file's profile, comments and other metadata.

    Raises:
        UserError: if it cannot be decoded; the sentence does not say where the image lies.
    """
    image = _read(encoded, _upright)
    image.info = {}
    return image


def check(
    encoded: bytes, max_megapixels: float = LARGEST, setting: str | None = None
) -> tuple[int, int]:
    """Decode an image to its last byte, since `verify` lets cut-off JPEGs pass.

    A JPEG is decoded at an eighth of its size where it can be: all its data are still read.

    Args:
        encoded: the bytes of a file.
        max_megapixels: millions of pixels above which an image is refused undecoded.
        setting: what a person can raise that limit by, if anything.

    Returns:
        Width and height of the upright image, in pixels.

    Raises:
        UserError: as `decode`, or if the image is too large.
    """

    def examine(image: ImageFile) -> tuple[int, int]:
        width, height = image.size
        if width * height / 1e6 > max_megapixels:
            limit, remedy = (f"{setting}, ", " or raise that") if setting else ("", "")
            raise UserError(
                f"the image has {width} x {height} pixels, more than {limit}"
                f"{max_megapixels:g} million; scale it down{remedy}"
            )
        reduced = image.draft("RGB", (max(1, width // 8), max(1, height // 8)))
        upright = _upright(image)
        if reduced is None:
            return upright.size
        return (height, width) if _orientation(image) >= SIDEWAYS else (width, height)

    return _read(encoded, examine)


def _read(encoded: bytes, use: Callable[[ImageFile], Result]) -> Result:
    """Open an image for `use`, which decodes it, and put what either raises into a sentence."""
    try:
        try:
            return use(_open(encoded))
        except ValueError:  # among others: a text longer than Pillow agrees to unpack
            if not encoded.startswith(b"\x89PNG"):
                raise
            return use(_open(_without_texts(encoded)))
    except UserError:
        raise
    except UnidentifiedImageError:
        for name, beginning in UNREAD.items():
            if re.match(beginning, encoded[:4096], re.DOTALL):
                raise UserError(
                    f"the image is {name}, which is not read here; convert it to JPEG or PNG"
                ) from None
        raise UserError(
            f"the image cannot be decoded (it is none of {', '.join(FORMATS)})"
        ) from None
    except Image.DecompressionBombError:
        raise UserError(
            f"the image has more than {LARGEST:g} million pixels; scale it down"
        ) from None
    except Exception as error:  # decoders of damaged bytes raise whatever they run into
        what = f"{type(error).__name__}: {error}"[:200]
        raise UserError(f"the image cannot be decoded ({what})") from error


def _open(encoded: bytes) -> ImageFile:
    """Read an image's header."""
    image = Image.open(io.BytesIO(encoded), formats=FORMATS)
    if "progressive" in image.info and encoded.count(b"\xff\xda") > MOST_SCANS:
        raise UserError(f"the image is a JPEG of more than {MOST_SCANS} scans; save it anew")
    if image.format == "PNG" and "transparency" in image.info:
        image.info["transparency"] = _in_eight_bits(
            image.info["transparency"], depth=encoded[24], mode=image.mode
        )
    return image


def _in_eight_bits(colour: object, depth: int, mode: str) -> object:
    """A PNG's transparent colour, as the file states it, in the levels that Pillow decodes to."""
    if mode == "RGB" and depth == 16 and isinstance(colour, tuple):
        return tuple(level >> 8 for level in colour)
    if mode == "L" and isinstance(colour, int):
        return colour * 255 // (2**depth - 1)
    return colour


def _without_texts(png: bytes) -> bytes:
    """A PNG without its chunks of text."""
    kept, start = [png[:8]], 8
    while start < len(png):
        end = start + 12 + int.from_bytes(png[start : start + 4])
        if png[start + 4 : start + 8] not in (b"tEXt", b"zTXt", b"iTXt"):
            kept.append(png[start:end])
        start = end
    return b"".join(kept)


def _upright(image: ImageFile) -> Image.Image:
    image.load()  # of a TIFF, this turns it
    turn = TURNS.get(_orientation(image))
    return to_srgb(image if turn is None else image.transpose(turn))


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none, or nothing legible."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # the block is damaged, which says nothing about the pixels
        return 1
    return orientation if orientation in TURNS else 1
