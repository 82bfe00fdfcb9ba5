"""Images of all kinds are decoded to what a viewer shows, or refused in a sentence."""

import io
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from pipeline.common.errors import UserError
from pipeline.images.pixels import FORMATS, check, decode
from tests.images.image_files import encoded, png

RED, GREEN, BLUE, GREY = (230, 20, 30), (20, 200, 40), (30, 40, 220), (128, 128, 128)


def four_corners(width: int = 480, height: int = 320) -> Image.Image:
    """Red and green above, blue and grey below."""
    image = Image.new("RGB", (width, height))
    for n, colour in enumerate((RED, GREEN, BLUE, GREY)):
        left, top = n % 2 * width // 2, n // 2 * height // 2
        image.paste(colour, (left, top, left + width // 2, top + height // 2))
    return image


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    x, y = image.width // 4, image.height // 4
    return [image.getpixel(at) for at in ((x, y), (3 * x, y), (x, 3 * y), (3 * x, 3 * y))]


def near(found: Any, expected: Any, levels: int) -> bool:
    return int(np.abs(np.subtract(found, expected, dtype=int)).max()) <= levels


ORIENTED = {
    1: (RED, GREEN, BLUE, GREY),
    2: (GREEN, RED, GREY, BLUE),
    3: (GREY, BLUE, GREEN, RED),
    4: (BLUE, GREY, RED, GREEN),
    5: (RED, BLUE, GREEN, GREY),
    6: (BLUE, RED, GREY, GREEN),
    7: (GREY, GREEN, BLUE, RED),
    8: (GREEN, GREY, RED, BLUE),
}
"""EXIF's orientation -> the corners of `four_corners` as they are to be shown."""


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO"])
@pytest.mark.parametrize("orientation", ORIENTED)
def test_exif_turns_an_image(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encoded(four_corners(), form, exif=exif)
    upright = (480, 320) if orientation < 5 else (320, 480)
    image = decode(data)
    assert (image.mode, image.size, check(data)) == ("RGB", upright, upright)
    assert near(corners(image), ORIENTED[orientation], 12)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "I;16"])
def test_exif_turns_an_image_of_any_mode(mode: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    white = {"L": 255, "P": 1, "1": 1, "I;16": 65535, "LA": (255, 255), "RGBA": (255,) * 4}[mode]
    image = Image.new(mode, (30, 20), (0, 255) if mode == "LA" else "black")
    if mode == "P":
        image = Image.new("P", (30, 20), 0)
        image.putpalette([0, 0, 0, 255, 255, 255])
    image.paste(white, (0, 0, 10, 20))
    data = encoded(image, "PNG", exif=exif)
    found = np.asarray(decode(data))
    assert check(data) == (20, 30)
    assert (found[:10] == 255).all() and (found[10:] == 0).all()


@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"x"])
def test_a_damaged_exif_block_says_nothing(exif: bytes) -> None:
    data = encoded(four_corners(), "JPEG", exif=exif)
    assert check(data) == decode(data).size == (480, 320)


PLAIN, BESIDE = four_corners(), {"save_all": True, "append_images": [Image.new("RGB", (480, 320))]}
FORMS: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
    **{form: (PLAIN, form, {}) for form in "JPEG PNG GIF BMP JPEG2000 PPM QOI PCX SGI TGA".split()},
    "progressive": (PLAIN, "JPEG", {"progressive": True}),
    "cmyk": (PLAIN.convert("CMYK"), "JPEG", {"quality": 95}),
    "cmyk tiff": (PLAIN.convert("CMYK"), "TIFF", {}),
    "lab": (PLAIN.convert("LAB"), "TIFF", {}),
    "ycbcr": (PLAIN.convert("YCbCr"), "TIFF", {}),
    "opaque": (PLAIN.convert("RGBA"), "PNG", {}),
    "palette": (PLAIN.quantize(9), "PNG", {}),
    "two bits": (PLAIN.quantize(4), "PNG", {"bits": 2}),
    "webp": (PLAIN, "WEBP", {"quality": 95}),
    "lossless": (PLAIN, "WEBP", {"lossless": True}),
    "avif": (PLAIN, "AVIF", {"quality": 90}),
    "tiff": (PLAIN, "TIFF", {"compression": "tiff_lzw"}),
    "jpeg in tiff": (PLAIN, "TIFF", {"compression": "jpeg", "quality": 95}),
    "ico": (four_corners(256, 256), "ICO", {"sizes": [(256, 256)]}),
    "mpo": (PLAIN, "MPO", {"save_all": True, "append_images": [Image.new("RGB", (9, 9))]}),
    **{f"moving {form}": (PLAIN, form, BESIDE) for form in ("PNG", "GIF", "TIFF")},
    "moving WEBP": (PLAIN, "WEBP", {**BESIDE, "lossless": True}),
}


@pytest.mark.parametrize("name", FORMS)
def test_formats_and_modes(name: str) -> None:
    image, form, options = FORMS[name]
    data = encoded(image, form, **options)
    found = decode(data)
    assert found.mode == "RGB" and found.size == check(data) == image.size
    assert near(corners(found), (RED, GREEN, BLUE, GREY), 14)
    # what is no special case keeps the bits that Pillow's own conversion gives
    assert np.array_equal(found, Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "JPEG2000", "PPM"])
def test_grey(form: str) -> None:
    data = encoded(Image.linear_gradient("L"), form)
    assert near(decode(data).getpixel((9, 100)), (100, 100, 100), 6)


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (5000, 1), (150_000, 1), (1, 150_000)])
@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_extreme_shapes(shape: tuple[int, int], form: str) -> None:
    data = encoded(Image.new("RGB", shape, RED), form)
    assert check(data) == decode(data).size == shape


HEIC_BRANDS = (b"heic", b"heix", b"mif1\0\0\0\0mif1heic")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        *(("HEIC", b"\0\0\0\x24ftyp" + brand + bytes(99)) for brand in HEIC_BRANDS),
        ("JPEG XL", b"\xff\x0a" + bytes(99)),
        ("JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99)),
        ("EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{ } loop\n"),
        ("EPS", b"\xc5\xd0\xd3\xc6" + bytes(99)),
        ("PDF", b"%PDF-1.7\n"),
        ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("SVG", b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- by hand -->\n<!DOCTYPE svg>\n <svg/>"),
    ],
)
def test_formats_that_are_not_read_are_named(name: str, data: bytes) -> None:
    for read in (check, decode):
        with pytest.raises(UserError, match=f"is {name}, which .*; convert it to JPEG or PNG"):
            read(data)


def test_an_avif_that_is_cut_off_is_not_taken_for_heic() -> None:
    """Both bear the brand mif1."""
    with pytest.raises(UserError, match="cannot be decoded"):
        check(encoded(four_corners(), "AVIF")[:60])


@pytest.mark.parametrize(
    "data", [b"", b"no image", b"<html>404</html>", bytes(99), b"ftyp" * 9, b"<!---->" * 999]
)
def test_what_is_no_image_is_refused_in_the_same_words_every_time(data: bytes) -> None:
    with pytest.raises(UserError, match="cannot be decoded") as error:
        check(data)
    assert " at 0x" not in str(error.value) and len(str(error.value)) < 300


def test_no_image_starts_a_program(tmp_path: Path) -> None:
    """A stand-in for Ghostscript notes that it was called."""
    noted = tmp_path / "called"
    script = tmp_path / "gs"
    script.write_text(f"#!/bin/sh\ntouch {noted}\nsleep 60\n")
    script.chmod(0o755)
    eps = encoded(four_corners(16, 16), "EPS")
    code = (
        "import sys; from pipeline.images.pixels import check\n"
        "try: check(sys.stdin.buffer.read())\n"
        "except Exception as error: print(error)"
    )
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-c", code], input=eps, env=environment, capture_output=True, timeout=50
    )
    assert b"the image is EPS" in done.stdout
    assert not noted.exists()


def test_an_image_with_too_many_pixels_is_refused_undecoded() -> None:
    data = encoded(Image.new("1", (1001, 1000)), "PNG")
    assert check(data, 1.001) == check(data) == (1001, 1000)
    with pytest.raises(UserError, match=r"1001 x 1000 pixels, more than 1 million; scale it down$"):
        check(data, 1)
    # hardly any pixels are there, so that decoding would end in another sentence
    with pytest.raises(UserError, match="20000 x 8000 pixels"):
        check(png((20_000, 8000), 8, 2, b"\0")[:-20], 89)
    for read in (check, decode):
        with pytest.raises(UserError, match="more than 178 million pixels"):
            read(png((30_000, 30_000), 8, 2, b"\0"))


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    """Each scan costs a pass over all pixels and takes a few bytes."""
    data = encoded(Image.new("L", (64, 64)), "JPEG", progressive=True)
    scan, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    bomb = data[:end] + data[scan:end] * 101 + data[end:]
    with pytest.raises(UserError, match="scans"):
        check(bomb)


TEXT = b"Comment\0"
LONG_TEXTS = {
    "tEXt": (b"tEXt", TEXT + bytes([65]) * 2_000_000),
    "zTXt": (b"zTXt", TEXT + b"\0" + zlib.compress(bytes([65]) * 2_000_000)),
    "iTXt": (b"iTXt", TEXT + b"\1\0\0\0" + zlib.compress(bytes([65]) * 2_000_000)),
    "bomb": (b"zTXt", TEXT + b"\0" + zlib.compress(bytes(200_000_000), 1)),
}


@pytest.mark.parametrize("name", LONG_TEXTS)
@pytest.mark.parametrize("behind", [False, True])
def test_a_long_text_in_a_png_is_skipped(name: str, behind: bool) -> None:
    """The rest of its metadata holds: it is turned as EXIF says."""
    turned = (b"eXIf", b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")
    chunks = [turned, LONG_TEXTS[name]]
    row = bytes([*RED, *RED, *BLUE])
    before, after = ([turned], [LONG_TEXTS[name]]) if behind else (chunks, [])
    data = png((3, 2), 8, 2, row, *before, after=after)
    assert check(data) == decode(data).size == (2, 3)
    assert decode(data).getpixel((0, 2)) == BLUE


SOUND = [
    *(encoded(four_corners(64, 48), f) for f in "JPEG PNG WEBP AVIF GIF JPEG2000 BMP".split()),
    encoded(four_corners(64, 48), "JPEG", progressive=True),
    encoded(four_corners(64, 48), "TIFF", compression="tiff_lzw"),
]


@given(st.sampled_from(SOUND), st.data())
@settings(max_examples=200)
def test_damaged_images_give_pixels_or_a_sentence(sound: bytes, data: st.DataObject) -> None:
    """Bytes changed at random, and perhaps an end cut off; check and decode agree."""
    damaged = bytearray(sound)
    for _ in range(data.draw(st.integers(0, 8))):
        damaged[data.draw(st.integers(0, len(sound) - 1))] = data.draw(st.integers(0, 255))
    kept = bytes(damaged[: data.draw(st.integers(0, len(sound)))])
    try:
        size = check(kept, 1)
    except UserError as error:
        assert not re.search(r"0x[0-9a-f]{6}", str(error))
    else:
        try:
            assert decode(kept).size == size
        except UserError:  # a JPEG that is whole at an eighth of its size
            assert kept.startswith(b"\xff\xd8")


def test_the_formats_are_those_that_the_library_knows() -> None:
    Image.init()
    assert set(FORMATS) <= set(Image.OPEN)
