"""The stage of a frame: an image at twice its size and coordinates that zoom with the shot.

Backdrops draw in units of frame pixels of a wide shot: x from the frame's centre, y down from
the horizon. A closer shot zooms about the point on the horizon below the centre. What must stay
at its place in every shot (signboard, omen, window) uses `frame` coordinates instead.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from PIL import Image, ImageDraw

from pipeline.storyworld.drawing.light import Colour, Light
from pipeline.storyworld.drawing.shapes import Point

OVERSIZE = 2  # everything is drawn at twice the size and reduced: smooth edges
HORIZON = 134.0  # frame pixels from the top
ZOOM = {"wide": 1.0, "medium": 1.5, "close": 2.2}


class Stage:
    """An image being drawn, with its light and its random numbers."""

    def __init__(
        self, width: int, height: int, light: Light, shot: str, rng: random.Random
    ) -> None:
        self.image = Image.new("RGB", (width * OVERSIZE, height * OVERSIZE))
        self.draw = ImageDraw.Draw(self.image)
        self.width = width
        self.height = height
        self.light = light
        self.shot = shot
        self.zoom = ZOOM[shot]
        self.scale = self.zoom * OVERSIZE
        self.centre = width / 2 * OVERSIZE
        self.level = HORIZON * OVERSIZE * height / 240
        self.rng = rng
        self.left = -width / 2 / self.zoom  # the visible range of x
        self.right = width / 2 / self.zoom

    def seen(self, left: float, right: float) -> bool:
        """Whether anything between two x shows in this shot."""
        return right >= self.left and left <= self.right

    def spread(self, step: float, jitter: float = 0.0, start: float = -300.0) -> list[float]:
        """Places along x, `step` apart, jittered, over the whole width (also what is not seen)."""
        count = int(-2 * start / step) + 1
        return [start + i * step + self.rng.uniform(-jitter, jitter) for i in range(count)]

    def at(self, x: float, y: float) -> Point:
        """The pixel of a backdrop point."""
        return self.centre + x * self.scale, self.level + y * self.scale

    def frame(self, x: float, y: float) -> Point:
        """The pixel of a frame point: x from the centre, y from the top, whatever the shot."""
        return self.centre + x * OVERSIZE, y * OVERSIZE

    def rect(self, x: float, y: float, right: float, low: float, fill: Colour) -> None:
        """A filled rectangle."""
        if right < self.left or x > self.right:
            return
        self.draw.rectangle((*self.at(x, y), *self.at(right, low)), fill=fill)

    def band(self, y: float, low: float, fill: Colour) -> None:
        """A filled band over the whole width."""
        self.rect(self.left - 2, y, self.right + 2, low, fill)

    def poly(self, points: Sequence[Point], fill: Colour) -> None:
        """A filled polygon."""
        if max(p[0] for p in points) < self.left or min(p[0] for p in points) > self.right:
            return
        self.draw.polygon([self.at(*p) for p in points], fill=fill)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        """A filled ellipse around a point."""
        if x + rx < self.left or x - rx > self.right:
            return
        self.draw.ellipse((*self.at(x - rx, y - ry), *self.at(x + rx, y + ry)), fill=fill)

    def line(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """A line, its width in backdrop units."""
        if max(p[0] for p in points) < self.left or min(p[0] for p in points) > self.right:
            return
        thick = max(1, round(width * self.scale))
        self.draw.line([self.at(*p) for p in points], fill=fill, width=thick)
