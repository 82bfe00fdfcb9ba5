"""Flat shapes with a pale halo and a dark outline, painted with Pillow.

A person or a thing is a list of shapes in pixels. `paint` first strokes the halo of all of
them (so that the whole stands out from the backdrop), then each one's outline and fill in
order. Details (`solid=False`) have neither halo nor outline.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from PIL import ImageDraw

from pipeline.storyworld.drawing.light import Colour

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


@dataclass(frozen=True, slots=True)
class Limb:
    """A thick line with round ends and joints."""

    points: Sequence[Point]
    width: float
    fill: Colour
    solid: bool = True

    def cover(self, draw: ImageDraw.ImageDraw, fill: Colour, grow: float) -> None:
        """Fill the shape, `grow` pixels larger on every side."""
        half = self.width / 2 + grow
        points = self.points
        draw.line(points, fill=fill, width=max(1, round(half * 2)))
        if half > 2.6:
            # The joints of a finely divided curve need no discs of their own.
            for x, y in points if len(points) < 5 else (points[0], points[-1]):
                draw.ellipse((x - half, y - half, x + half, y + half), fill=fill)

    @property
    def bounds(self) -> Box:
        """Around the fill, without outline and halo."""
        return around(self.points, self.width / 2, self.width / 2)


@dataclass(frozen=True, slots=True)
class Poly:
    """A filled polygon."""

    points: Sequence[Point]
    fill: Colour
    solid: bool = True

    def cover(self, draw: ImageDraw.ImageDraw, fill: Colour, grow: float) -> None:
        """Fill the shape, `grow` pixels larger on every side."""
        points = self.points
        draw.polygon(points, fill=fill)
        if grow > 0:
            draw.line([*points, points[0]], fill=fill, width=round(grow * 2))
            for x, y in points if grow > 4 and len(points) < 9 else ():
                draw.ellipse((x - grow, y - grow, x + grow, y + grow), fill=fill)

    @property
    def bounds(self) -> Box:
        """Around the fill, without outline and halo."""
        return around(self.points)


@dataclass(frozen=True, slots=True)
class Disc:
    """A filled axis-parallel ellipse."""

    centre: Point
    rx: float
    ry: float
    fill: Colour
    solid: bool = True

    def cover(self, draw: ImageDraw.ImageDraw, fill: Colour, grow: float) -> None:
        """Fill the shape, `grow` pixels larger on every side."""
        (x, y), rx, ry = self.centre, self.rx + grow, self.ry + grow
        draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=fill)

    @property
    def bounds(self) -> Box:
        """Around the fill, without outline and halo."""
        return around([self.centre], self.rx, self.ry)


Shape = Limb | Poly | Disc
Place = Callable[[float, float], Point]


def around(points: Iterable[Point], beside: float = 0.0, above: float = 0.0) -> Box:
    """The box around points, so many pixels larger on either side, above and below."""
    xs, ys = zip(*points, strict=True)
    return min(xs) - beside, min(ys) - above, max(xs) + beside, max(ys) + above


def box_of(shapes: Iterable[Shape]) -> Box:
    """The box around shapes."""
    boxes = [shape.bounds for shape in shapes]
    return around([corner for box in boxes for corner in (box[:2], box[2:])])


def paint(
    draw: ImageDraw.ImageDraw,
    shapes: Iterable[Shape],
    ink: Colour,
    ink_width: float,
    halo: Colour | None = None,
    halo_width: float = 0.0,
) -> None:
    """Paint shapes in order: one common halo below all, each with its outline."""
    shapes = list(shapes)
    if halo is not None:
        for shape in shapes:
            if shape.solid:
                shape.cover(draw, halo, ink_width + halo_width)
    for shape in shapes:
        if shape.solid:
            shape.cover(draw, ink, ink_width)
        shape.cover(draw, shape.fill, 0.0)


def placer(centre: Point, scale: float, angle: float = 0.0, flip: bool = False) -> Place:
    """Map unit coordinates (x to the front, y up) to pixels.

    `angle` turns counter-clockwise (degrees) before the mirror image that `flip` makes.
    """
    cos = math.cos(math.radians(angle)) * scale
    sin = math.sin(math.radians(angle)) * scale
    side = -1.0 if flip else 1.0
    cx, cy = centre

    def place(x: float, y: float) -> Point:
        return cx + side * (x * cos - y * sin), cy - (x * sin + y * cos)

    return place


def arc(centre: Point, rx: float, ry: float, start: float, stop: float, steps: int) -> list[Point]:
    """Points on an ellipse, `start` and `stop` in degrees (0 to the front, 90 up)."""
    points = []
    for step in range(steps + 1):
        turn = math.radians(start + (stop - start) * step / steps)
        points.append((centre[0] + rx * math.cos(turn), centre[1] + ry * math.sin(turn)))
    return points


def hull(points: Iterable[Point]) -> list[Point]:
    """The convex hull (monotone chain, Andrew 1979)."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered

    def chain(row: Iterable[Point]) -> list[Point]:
        kept: list[Point] = []
        for p in row:
            while len(kept) >= 2 and _turn(kept[-2], kept[-1], p) <= 0:
                kept.pop()
            kept.append(p)
        return kept[:-1]

    return chain(ordered) + chain(reversed(ordered))


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
