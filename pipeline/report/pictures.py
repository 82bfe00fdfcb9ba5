"""The pictures of the gallery: read from the raw stories, made small enough for one file."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from pipeline.common.errors import UserError
from pipeline.images.pixels import decode
from pipeline.images.reader import Place, read_pictures


@dataclass(frozen=True)
class Picture:
    """A small JPEG."""

    data: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as a `data:` address, which needs no request."""
        return f"data:image/jpeg;base64,{base64.b64encode(self.data).decode('ascii')}"


class Use(NamedTuple):
    """How the page shows a picture."""

    large: bool
    """As a target, not as a frame of a context."""
    times: int
    """In how many places."""


class Rung(NamedTuple):
    """One size on the way down: longest sides in pixels, and JPEG quality."""

    large: int
    small: int
    quality: int


LADDER = (
    Rung(480, 300, 80),
    Rung(420, 260, 76),
    Rung(360, 220, 72),
    Rung(300, 180, 68),
    Rung(240, 150, 62),
    Rung(192, 120, 55),
    Rung(144, 96, 50),
)
"""Tried from the top. Nothing is ever made larger than it is."""


def fit_pictures(raw: Path, uses: Mapping[Place, Use], budget: int) -> dict[Place, Picture]:
    """Read pictures and shrink them all by the same rule, until they take at most `budget` bytes.

    That is together, as base64 and as often as they are shown. `raw` has the raw stories.

    Raises:
        UserError: if a file or an image is missing, or not even the smallest size fits.
    """
    places = sorted(uses)
    pictures = {
        place: _encode(picture, LADDER[0], uses[place].large)
        for place, picture in zip(places, read_pictures(raw, places), strict=True)
    }
    for rung in LADDER[1:]:
        if _size(pictures, uses) <= budget:
            break
        pictures = {
            place: _encode(decode(picture.data), rung, uses[place].large)
            for place, picture in pictures.items()
        }
    if (size := _size(pictures, uses)) > budget:
        raise UserError(
            f"report: {len(pictures)} pictures take {size / 1e6:.1f} MB even at their smallest, "
            f"and {max(budget, 0) / 1e6:.1f} MB are left for them; lower report.max_stories or "
            "raise report.max_megabytes"
        )
    return pictures


def _encode(image: Image.Image, rung: Rung, large: bool) -> Picture:
    most = rung.large if large else rung.small
    image.thumbnail((most, most), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=rung.quality, optimize=True)
    return Picture(file.getvalue(), image.width, image.height)


def _size(pictures: Mapping[Place, Picture], uses: Mapping[Place, Use]) -> int:
    """Bytes on the page: in base64, four characters stand for every three bytes begun."""
    return sum(-(-len(made.data) // 3) * 4 * uses[place].times for place, made in pictures.items())
