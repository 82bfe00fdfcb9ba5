"""Image files as Pillow writes them, and byte by byte after their specifications."""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

LINEAR, SRGB_CURVE = (1.0,), None
D50 = (0.9642, 1.0, 0.8249)
PRIMARIES = ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
"""XYZ of sRGB's red, green and blue, adapted to D50."""


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """As Pillow writes it."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def png(
    size: tuple[int, int],
    depth: int,
    colour_type: int,
    scanline: bytes,
    *chunks: tuple[bytes, bytes],
    after: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """A PNG whose rows are all the same; `chunks` stand before the pixels, `after` behind them."""
    header = struct.pack(">IIBBBBB", *size, depth, colour_type, 0, 0, 0)
    pixels = zlib.compress((b"\0" + scanline) * size[1])
    parts = [(b"IHDR", header), *chunks, (b"IDAT", pixels), *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def tiff(width: int, bits: int, sample_format: int, white_is_zero: bool, row: bytes) -> bytes:
    """A little-endian grey TIFF of one row."""
    tags = {
        256: width,
        257: 1,
        258: bits,
        259: 1,  # uncompressed
        262: 0 if white_is_zero else 1,
        273: 8,  # where the row begins
        277: 1,
        278: 1,
        279: len(row),
        339: sample_format,
    }
    row += b"\0" * (len(row) % 2)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8 + len(row)) + row + directory


def icc_profile(
    primaries: Sequence[tuple[float, float, float]], curve: Sequence[float] | None
) -> bytes:
    """A colour profile: XYZ of red, green and blue (none: a profile for grey), and the curve.

    The curve is a single exponent, or by default sRGB's own as a table.
    """
    tags = {b"wtpt": _xyz(D50)}
    channels = zip((b"r", b"g", b"b"), primaries, strict=True) if primaries else ()
    for name, primary in channels:
        tags[name + b"XYZ"], tags[name + b"TRC"] = _xyz(primary), _curve(curve)
    if not primaries:
        tags[b"kTRC"] = _curve(curve)
    return _profile(b"mntr", b"RGB " if primaries else b"GRAY", b"XYZ ", tags)


def cmyk_profile() -> bytes:
    """A profile of an odd press, on which black ink is all that is seen."""
    straight = bytes(range(256))
    corners = [(0, 128, 128) if n % 2 else (255, 128, 128) for n in range(16)]  # L, a, b
    matrix = struct.pack(">9i", *(65536 if n % 4 == 0 else 0 for n in range(9)))
    table = (
        b"mft1\0\0\0\0"
        + bytes([4, 3, 2, 0])
        + matrix
        + straight * 4
        + bytes(level for corner in corners for level in corner)
        + straight * 3
    )
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz(D50), b"A2B0": table})


def _profile(kind: bytes, colours: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    title = b"hand-made\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(title)) + title + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        **tags,
    }
    body, table = b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    header = bytearray(128)
    header[:4] = struct.pack(">I", 132 + len(table) + len(body))
    header[8:24] = b"\x02\x40\0\0" + kind + colours + connection
    header[24:36] = struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
    header[36:40] = b"acsp"
    header[68:80] = struct.pack(">3i", *(round(value * 65536) for value in D50))
    return bytes(header) + struct.pack(">I", len(tags)) + table + body


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _curve(exponent: Sequence[float] | None) -> bytes:
    if exponent is not None:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent[0] * 256))
    x = np.linspace(0, 1, 1024)
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *np.rint(linear * 65535).astype(int))
