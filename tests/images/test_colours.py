"""Transparency, deep grey and colour profiles: expected values are worked out by hand."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from pipeline.images.pixels import check, decode
from tests.images.image_files import PRIMARIES, cmyk_profile, encoded, icc_profile, png, tiff

INK, HIDDEN, WHITE = (200, 30, 90), (0, 100, 0), (255, 255, 255)
BLENDED = (227, 142, 172)
"""Ink of alpha 128 on white: 255 - (255 - ink) * 128 / 255."""


def row(data: bytes) -> list[tuple[int, ...]]:
    """The first row of pixels; and that the check of the image agrees on its size."""
    image = decode(data)
    assert image.mode == "RGB" and check(data) == image.size
    return [image.getpixel((x, 0)) for x in range(image.width)]


def greys(data: bytes) -> list[int]:
    found = row(data)
    assert all(red == green == blue for red, green, blue in found)
    return [level for level, _, _ in found]


def see_through(ink: tuple[int, ...], hidden: tuple[int, ...], mode: str) -> Image.Image:
    """Ink that is opaque, ink of alpha 128, and something that is not to be seen."""
    image = Image.new(mode, (3, 2))
    for y in range(2):
        for x, colour in enumerate(((*ink, 255), (*ink, 128), (*hidden, 0))):
            image.putpixel((x, y), colour)
    return image


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("WEBP", {"lossless": True, "exact": True}),
        ("TIFF", {}),
        ("JPEG2000", {}),
        ("TGA", {}),
        ("QOI", {}),
    ],
)
def test_transparency_is_on_white(form: str, options: dict[str, Any]) -> None:
    data = encoded(see_through(INK, HIDDEN, "RGBA"), form, **options)
    assert row(data) == [INK, BLENDED, WHITE]


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_transparent_grey_is_on_white(form: str) -> None:
    assert greys(encoded(see_through((60,), (9,), "LA"), form)) == [60, 157, 255]


def test_a_transparent_palette_is_on_white() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([*INK, *INK, *HIDDEN])
    for x in range(3):
        image.putpixel((x, 0), x)
    assert row(encoded(image, "PNG", transparency=bytes([255, 128, 0]))) == [INK, BLENDED, WHITE]
    for form in ("PNG", "GIF"):
        assert row(encoded(image, form, transparency=2)) == [INK, INK, WHITE]


@pytest.mark.parametrize(("ink", "expected"), [(0, 127), (64, 191), (128, 255)])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_colours_multiplied_by_alpha_are_divided_first(mode: str, ink: int, expected: int) -> None:
    """Of alpha 128: ink 64 stands for level 128, and ink 128 for white."""
    data = encoded(Image.new(mode, (1, 1), (*[ink] * (len(mode) - 1), 128)), "TIFF")
    straight, multiplied = (struct.pack("<HHIH", 338, 3, 1, kind) for kind in (2, 1))
    assert data.count(straight) == 1
    assert greys(data.replace(straight, multiplied)) == [pytest.approx(expected, abs=1)]


@pytest.mark.parametrize(
    ("depth", "colour_type", "scanline", "clear", "expected"),
    [
        (1, 0, b"\x40", (1,), [0, 255, 0]),
        (1, 0, b"\x40", (0,), [255, 255, 255]),
        (2, 0, b"\x18", (2,), [0, 85, 255]),
        (4, 0, b"\x0a\xf0", (10,), [0, 255, 255]),
        (4, 0, b"\x0a\xf0", (0,), [255, 170, 255]),
        (8, 0, bytes([0, 9, 200]), (9,), [0, 255, 200]),
        (16, 0, struct.pack(">3H", 0, 257 * 9, 257 * 9 + 1), (257 * 9,), [0, 255, 9]),
        (8, 2, bytes([0, 0, 0, 9, 9, 9, 5, 5, 5]), (9, 9, 9), [0, 255, 5]),
        (16, 2, struct.pack(">9H", 0, 0, 0, *[2313] * 3, *[1285] * 3), (2313,) * 3, [0, 255, 5]),
    ],
)
def test_the_one_transparent_colour_of_a_png(
    depth: int, colour_type: int, scanline: bytes, clear: tuple[int, ...], expected: list[int]
) -> None:
    chunk = (b"tRNS", struct.pack(f">{len(clear)}H", *clear))
    assert greys(png((3, 2), depth, colour_type, scanline, chunk)) == expected


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_16_bits_are_scaled_by_257(form: str) -> None:
    levels = np.array([[0, 128, 129, 257, 257 * 100, 65535]], np.uint16)
    assert greys(encoded(Image.fromarray(levels), form)) == [0, 0, 1, 1, 100, 255]


@pytest.mark.parametrize(
    ("bits", "kind", "white_is_zero", "values", "expected"),
    [
        (16, 1, False, struct.pack("<3H", 0, 257 * 7, 65535), [0, 7, 255]),
        (16, 1, True, struct.pack("<3H", 0, 257 * 7, 65535), [255, 248, 0]),
        (12, 1, False, b"\x00\x0f\xff\x80\x00", [0, 255, 128]),  # 000 fff 800
        (32, 1, False, struct.pack("<3I", 0, 2**31, 2**32 - 1), [0, 128, 255]),
        (32, 2, False, struct.pack("<3i", -50, 0, 50), [0, 128, 255]),
        (32, 3, True, struct.pack("<3f", 0, 0.2, 1), [255, 204, 0]),
    ],
)
def test_what_a_tiff_says_of_its_levels(
    bits: int, kind: int, white_is_zero: bool, values: bytes, expected: list[int]
) -> None:
    assert greys(tiff(3, bits, kind, white_is_zero, values)) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.2, 1], [0, 51, 255]),
        ([0, 0.02, 0.04], [0, 5, 10]),  # dark, and left so
        ([0, 20, 255], [0, 20, 255]),
        ([0, 257 * 20, 65535], [0, 20, 255]),
        ([0, 0.3, 1.2], [0, 64, 255]),  # nearly black if taken for levels up to 255
        ([-1, 0, 1], [0, 128, 255]),
        ([0, 4e5, 1e6], [0, 102, 255]),
        ([float("nan"), float("-inf"), float("inf")], [0, 0, 255]),
        ([1, float("nan"), float("inf")], [255, 0, 255]),
        ([300, 300, 300], [0, 0, 0]),
    ],
)
def test_the_range_of_floats_is_found(values: list[float], expected: list[int]) -> None:
    assert greys(encoded(Image.fromarray(np.array([values], np.float32)), "TIFF")) == expected


@given(
    st.lists(st.floats(width=32), min_size=1, max_size=9)
    | st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=9)
)
def test_any_numbers_become_levels_in_their_order(values: list[float]) -> None:
    kind = np.int32 if all(isinstance(value, int) for value in values) else np.float32
    levels = greys(encoded(Image.fromarray(np.array([values], kind)), "TIFF"))
    known = [pair for pair in zip(values, levels, strict=True) if pair[0] == pair[0]]
    ordered = [level for _, level in sorted(known)]
    assert ordered == sorted(ordered)


LEVELS = [0, 1, 13, 64, 128, 200, 255]
LIGHTER = [0, 13, 64, 137, 188, 229, 255]
"""The same taken for amounts of light: 255 * (1.055 * (level / 255) ** (1 / 2.4) - 0.055), or
12.92 times the level of the dark ones."""


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "AVIF", "JPEG"])
def test_a_colour_profile_is_followed(form: str) -> None:
    """Red and blue exchanged, and levels that are amounts of light."""
    profile = icc_profile(PRIMARIES[::-1], (1.0,))
    options = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}.get(
        form, {"quality": 100, "subsampling": 0 if form == "JPEG" else "4:4:4"}
    )
    image = Image.new("RGB", (16, 16), (200, 128, 13))
    (found, *_) = row(encoded(image, form, icc_profile=profile, **options))
    assert found == pytest.approx((64, 188, 229), abs=4 if form in ("AVIF", "JPEG") else 1)


def test_grey_follows_a_profile_for_grey() -> None:
    profile = icc_profile((), (1.0,))
    image = Image.fromarray(np.array([LEVELS], np.uint8))
    assert greys(encoded(image, "PNG", icc_profile=profile)) == LIGHTER
    deep = Image.fromarray(np.array([LEVELS], np.uint16) * 257)
    assert greys(encoded(deep, "PNG", icc_profile=profile)) == LIGHTER
    clear = Image.merge("LA", (Image.new("L", (1, 1), 13), Image.new("L", (1, 1), 0)))
    assert greys(encoded(clear, "PNG", icc_profile=profile)) == [255]


def test_a_profile_and_transparency_go_together() -> None:
    profile = icc_profile(PRIMARIES[::-1], (1.0,))
    data = encoded(see_through((128, 128, 128), HIDDEN, "RGBA"), "PNG", icc_profile=profile)
    assert row(data) == [(188,) * 3, (221,) * 3, WHITE]
    image = Image.new("P", (1, 1))
    image.putpalette([0, 0, 128])
    assert row(encoded(image, "PNG", icc_profile=profile)) == [(188, 0, 0)]


def test_cmyk_follows_its_profile() -> None:
    inks = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 0, 0, 255)]
    image = Image.new("CMYK", (3, 1))
    for x, ink in enumerate(inks):
        image.putpixel((x, 0), ink)
    assert row(encoded(image, "TIFF")) == [WHITE, (0, 255, 255), (0, 0, 0)]
    found = row(encoded(image, "TIFF", icc_profile=cmyk_profile()))
    assert found == [pytest.approx(WHITE, abs=1), pytest.approx(WHITE, abs=1), (0, 0, 0)]


@pytest.mark.parametrize(
    "profile",
    [
        icc_profile(PRIMARIES, None),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        icc_profile(PRIMARIES, (2.0,))[:200],
        b"no profile",
        icc_profile((), (1.0,)),
        cmyk_profile(),
    ],
    ids=["table", "formula", "cut off", "nonsense", "for grey", "for cmyk"],
)
def test_srgb_and_what_is_no_profile_of_the_image_leave_every_bit(profile: bytes) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    for form in ("PNG", "JPEG"):
        data = encoded(Image.fromarray(noise), form, icc_profile=profile)
        assert np.array_equal(decode(data), Image.open(io.BytesIO(data)))
