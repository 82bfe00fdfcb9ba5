"""The twelve things of the storyworld: distinct outlines and distinct colours.

Every thing is drawn in a unit box (x and y from -0.5 to 0.5, long ones a little beyond, y up),
so that the same shapes serve in a hand and as the icon of a signboard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import ImageDraw

from pipeline.storyworld.drawing.light import INK, Colour, Light
from pipeline.storyworld.drawing.shapes import (
    Box,
    Disc,
    Limb,
    Place,
    Point,
    Poly,
    Shape,
    arc,
    box_of,
    paint,
    placer,
)

STEEL: Colour = (176, 188, 200)
WOOD: Colour = (150, 98, 52)
CREAM: Colour = (255, 250, 236)


class Sketch:
    """Collects the shapes of one thing, in unit coordinates."""

    def __init__(self, place: Place, scale: float) -> None:
        self.place = place
        self.scale = scale
        self.shapes: list[Shape] = []

    def poly(self, points: Sequence[Point], fill: Colour, solid: bool = True) -> None:
        self.shapes.append(Poly([self.place(*p) for p in points], fill, solid))

    def limb(self, points: Sequence[Point], width: float, fill: Colour, solid: bool = True) -> None:
        placed = [self.place(*p) for p in points]
        self.shapes.append(Limb(placed, width * self.scale, fill, solid))

    def disc(self, x: float, y: float, radius: float, fill: Colour, solid: bool = True) -> None:
        size = radius * self.scale
        self.shapes.append(Disc(self.place(x, y), size, size, fill, solid))

    def oval(
        self, x: float, y: float, rx: float, ry: float, fill: Colour, solid: bool = True
    ) -> None:
        self.poly(arc((x, y), rx, ry, 0, 340, 17), fill, solid)


def _basket(s: Sketch) -> None:
    s.limb(arc((0, -0.05), 0.36, 0.5, 0, 180, 8), 0.085, (168, 106, 44))
    for x, y in ((-0.18, 0.06), (0.18, 0.06), (0.0, 0.1)):
        s.disc(x, y, 0.15, (222, 52, 44))
    s.poly(
        [(-0.5, 0.08), (0.5, 0.08), (0.38, -0.4), (0.3, -0.47), (-0.3, -0.47), (-0.38, -0.4)],
        (222, 168, 92),
    )
    for y in (-0.1, -0.26):
        s.limb([(-0.42, y), (0.42, y)], 0.05, (172, 116, 52), False)
    for x in (-0.24, 0.0, 0.24):
        s.limb([(x, 0.02), (x * 0.8, -0.42)], 0.04, (172, 116, 52), False)
    s.limb([(-0.48, 0.06), (0.48, 0.06)], 0.1, (190, 132, 62))


def _oar(s: Sketch) -> None:
    s.limb([(0, 0.66), (0, -0.1)], 0.1, (206, 164, 104))
    s.limb([(-0.11, 0.66), (0.11, 0.66)], 0.1, (206, 164, 104))
    s.poly(
        [
            (-0.06, 0.02),
            (0.06, 0.02),
            (0.19, -0.16),
            (0.2, -0.58),
            (0.1, -0.7),
            (-0.1, -0.7),
            (-0.2, -0.58),
            (-0.19, -0.16),
        ],
        (36, 104, 220),
    )
    s.poly([(-0.2, -0.36), (0.2, -0.36), (0.2, -0.5), (-0.2, -0.5)], CREAM, False)


def _axe(s: Sketch) -> None:
    s.limb([(0, 0.58), (0.02, -0.1), (-0.02, -0.66)], 0.12, (214, 40, 40))
    s.poly(
        [
            (-0.17, 0.56),
            (0.08, 0.5),
            (0.36, 0.68),
            (0.46, 0.44),
            (0.46, 0.26),
            (0.36, 0.02),
            (0.08, 0.22),
            (-0.17, 0.2),
        ],
        STEEL,
    )
    s.poly(
        [(0.36, 0.68), (0.46, 0.44), (0.46, 0.26), (0.36, 0.02), (0.34, 0.2), (0.34, 0.5)],
        (236, 242, 248),
        False,
    )


def _bucket(s: Sketch) -> None:
    s.limb(arc((0, 0.16), 0.4, 0.36, 0, 180, 8), 0.06, (130, 136, 146))
    s.poly([(-0.45, 0.18), (0.45, 0.18), (0.3, -0.5), (-0.3, -0.5)], (250, 206, 30))
    s.poly([(-0.4, -0.06), (0.4, -0.06), (0.37, -0.2), (-0.37, -0.2)], (216, 160, 10), False)
    s.oval(0, 0.18, 0.45, 0.11, (84, 170, 230))


def _watering_can(s: Sketch) -> None:
    green, deep = (30, 158, 84), (16, 112, 62)
    s.limb(arc((-0.22, 0.0), 0.26, 0.3, 60, 270, 8), 0.075, deep)
    s.limb([(0.1, -0.3), (0.44, 0.3)], 0.12, green)
    s.poly([(0.3, 0.32), (0.54, 0.2), (0.6, 0.34), (0.36, 0.5)], (208, 218, 222))
    s.poly([(-0.26, 0.2), (0.2, 0.2), (0.28, -0.46), (-0.34, -0.46)], green)
    s.limb(arc((-0.03, 0.18), 0.2, 0.26, 0, 180, 6), 0.07, deep)
    s.poly([(-0.3, -0.1), (0.24, -0.1), (0.25, -0.22), (-0.31, -0.22)], (120, 214, 150), False)


def _fishing_rod(s: Sketch) -> None:
    s.limb([(0.3, 0.64), (0.42, 0.3), (0.44, -0.2)], 0.035, (240, 244, 248))
    s.limb([(-0.22, -0.66), (0.3, 0.64)], 0.075, (20, 150, 150))
    s.limb([(-0.24, -0.68), (-0.13, -0.42)], 0.14, (90, 54, 30))
    s.disc(0.0, -0.26, 0.13, (60, 66, 76))
    s.disc(0.44, -0.26, 0.15, (250, 250, 250))
    s.poly([s_ for s_ in arc((0.44, -0.26), 0.15, 0.15, 0, 180, 8)], (232, 40, 56), False)


def _suitcase(s: Sketch) -> None:
    brown, brass = (128, 68, 34), (246, 196, 70)
    s.limb([(-0.15, 0.3), (-0.15, 0.46), (0.15, 0.46), (0.15, 0.3)], 0.09, (70, 38, 20))
    s.poly([(-0.52, 0.3), (0.52, 0.3), (0.52, -0.42), (-0.52, -0.42)], brown)
    for x in (-0.28, 0.2):
        s.poly([(x, 0.3), (x + 0.08, 0.3), (x + 0.08, -0.42), (x, -0.42)], (84, 42, 22), False)
    for x, y in ((-0.52, 0.3), (0.52, 0.3), (-0.52, -0.42), (0.52, -0.42)):
        dx, dy = (0.2 if x < 0 else -0.2), (0.2 if y < 0 else -0.2)
        s.poly([(x, y), (x + dx, y), (x, y + dy)], brass, False)
    s.poly([(-0.07, 0.2), (0.07, 0.2), (0.07, 0.06), (-0.07, 0.06)], brass, False)


def _pitchfork(s: Sketch) -> None:
    s.limb([(0, 0.1), (0, -0.7)], 0.1, WOOD)
    grey = (158, 170, 182)
    s.limb(
        [(-0.3, 0.68), (-0.28, 0.22), (-0.14, 0.1), (0.14, 0.1), (0.28, 0.22), (0.3, 0.68)],
        0.085,
        grey,
    )
    s.limb([(0, 0.1), (0, 0.7)], 0.085, grey)


def _rope(s: Sketch) -> None:
    sand, deep = (236, 212, 160), (160, 128, 76)
    s.limb([(0.2, -0.3), (0.42, -0.38), (0.5, -0.56)], 0.12, sand)
    s.limb(arc((0, 0), 0.37, 0.4, 0, 360, 14), 0.17, sand)
    s.limb(arc((0, 0), 0.34, 0.37, 0, 360, 14), 0.025, deep, False)
    s.limb(arc((0, 0), 0.42, 0.45, 0, 360, 14), 0.025, deep, False)
    s.limb([(-0.14, 0.32), (0.14, 0.46)], 0.13, deep)
    s.limb([(-0.14, 0.46), (0.14, 0.32)], 0.13, deep)


def _book(s: Sketch) -> None:
    purple = (134, 48, 176)
    s.poly(
        [(-0.58, 0.28), (0, 0.16), (0.58, 0.28), (0.58, -0.38), (0, -0.5), (-0.58, -0.38)], purple
    )
    for side in (-1, 1):
        s.poly(
            [
                (0, 0.14),
                (side * 0.24, 0.34),
                (side * 0.5, 0.34),
                (side * 0.5, -0.24),
                (side * 0.24, -0.26),
                (0, -0.4),
            ],
            CREAM,
        )
        for y in (0.18, 0.04, -0.1):
            s.limb([(side * 0.14, y - 0.04), (side * 0.42, y)], 0.035, (150, 150, 170), False)


def _kettle(s: Sketch) -> None:
    copper = (232, 112, 40)
    s.limb(arc((0, 0.08), 0.32, 0.42, 20, 160, 8), 0.085, (60, 44, 44))
    s.poly([(0.2, -0.3), (0.52, 0.24), (0.62, 0.16), (0.4, -0.36)], copper)
    s.oval(0, -0.14, 0.42, 0.34, copper)
    s.oval(-0.14, -0.04, 0.12, 0.12, (255, 190, 130), False)
    s.poly([(-0.24, 0.14), (0.24, 0.14), (0.16, 0.24), (-0.16, 0.24)], (190, 80, 24))
    s.disc(0, 0.28, 0.075, (60, 44, 44))


def _flag(s: Sketch) -> None:
    s.limb([(-0.26, 0.66), (-0.26, -0.7)], 0.09, (240, 214, 140))
    s.poly([(-0.24, 0.66), (0.62, 0.32), (-0.24, -0.04)], (230, 30, 50))
    s.poly(
        [(-0.22, 0.43), (0.33, 0.43), (0.62, 0.32), (0.35, 0.21), (-0.22, 0.21)],
        (255, 255, 255),
        False,
    )
    s.disc(-0.26, 0.7, 0.08, (250, 200, 60))


@dataclass(frozen=True)
class Handling:
    """How a thing is drawn and held: where the hand grips it and how it leans."""

    draw: Callable[[Sketch], None]
    grip: Point  # unit coordinates of the hand on the thing
    lean: float  # degrees, to the front when negative
    long: bool = False


HANDLING = {
    "basket": Handling(_basket, (0.0, 0.44), 0),
    "oar": Handling(_oar, (0.0, 0.1), -12, True),
    "axe": Handling(_axe, (0.0, -0.15), -14, True),
    "bucket": Handling(_bucket, (0.0, 0.5), 0),
    "watering can": Handling(_watering_can, (-0.03, 0.42), 0),
    "fishing rod": Handling(_fishing_rod, (-0.16, -0.42), -4, True),
    "suitcase": Handling(_suitcase, (0.0, 0.46), 0),
    "pitchfork": Handling(_pitchfork, (0.0, -0.15), -10, True),
    "rope": Handling(_rope, (0.0, 0.4), 0),
    "book": Handling(_book, (-0.42, -0.3), 6),
    "kettle": Handling(_kettle, (0.0, 0.46), 0),
    "flag": Handling(_flag, (-0.26, -0.35), -8, True),
}


def thing_shapes(
    prop: str, centre: Point, size: float, angle: float = 0.0, flip: bool = False
) -> list[Shape]:
    """The shapes of a thing of `size` pixels around `centre`; KeyError for an unknown one."""
    sketch = Sketch(placer(centre, size, angle, flip), size)
    HANDLING[prop].draw(sketch)
    return sketch.shapes


def paint_thing(
    draw: ImageDraw.ImageDraw,
    prop: str,
    centre: Point,
    size: float,
    light: Light,
    angle: float = 0.0,
    flip: bool = False,
) -> Box:
    """Paint a thing with outline and halo; gives the box around it."""
    shapes = thing_shapes(prop, centre, size, angle, flip)
    paint(draw, shapes, INK, 2.6, light.halo, 2.6)
    return box_of(shapes)


def paint_icon(draw: ImageDraw.ImageDraw, prop: str, centre: Point, size: float) -> None:
    """Paint a thing flat, as on a signboard (long ones slanting, to fit the square)."""
    angle = -38.0 if HANDLING[prop].long else 0.0
    paint(draw, thing_shapes(prop, centre, size, angle), INK, 2.0)
