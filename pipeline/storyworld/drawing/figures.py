"""People: thick limbs in the garment's colour, hair, face and mood, in any of the poses."""

from __future__ import annotations

import math

from PIL import ImageDraw

from pipeline.storyworld.drawing.light import INK, WHITE, Colour, Light, mix
from pipeline.storyworld.drawing.poses import Pose
from pipeline.storyworld.drawing.shapes import (
    Disc,
    Limb,
    Place,
    Point,
    Poly,
    Shape,
    arc,
    hull,
    paint,
    placer,
)
from pipeline.storyworld.world import Person

GARMENT_COLOURS: dict[str, Colour] = {
    "red": (216, 36, 44),
    "blue": (40, 84, 214),
    "green": (34, 150, 62),
    "yellow": (252, 214, 36),
    "white": (248, 248, 250),
    "black": (40, 40, 46),
    "purple": (132, 48, 168),
    "orange": (250, 134, 22),
}
HAIR: dict[str, Colour] = {
    "black": (36, 30, 34),
    "brown": (112, 66, 34),
    "blond": (244, 208, 104),
    "red": (196, 78, 30),
    "grey": (186, 188, 194),
}
SKIN: dict[str, Colour] = {"light": (252, 218, 190), "tan": (222, 168, 122), "dark": (134, 86, 58)}
TROUSERS: Colour = (72, 70, 88)
SHOES: Colour = (70, 44, 34)
HEAD = 0.135  # radius, of the body's height


class _Body:
    """Collects the shapes of one person."""

    def __init__(self, person: Person, light: Light, place: Place, height: float) -> None:
        self.place = place
        self.height = height
        self.cloth = light.touch(GARMENT_COLOURS[person.colour])
        dark = mix(self.cloth, (0, 0, 0), 0.22)
        self.cloth_far = mix(self.cloth, WHITE, 0.12) if person.colour == "black" else dark
        self.skin = light.touch(SKIN[person.skin])
        self.hair = light.touch(HAIR[person.hair_colour])
        self.person = person
        self.light = light
        self.shapes: list[Shape] = []

    def limb(self, points: list[Point], width: float, fill: Colour, solid: bool = True) -> None:
        placed = [self.place(*p) for p in points]
        self.shapes.append(Limb(placed, width * self.height, fill, solid))

    def disc(self, x: float, y: float, radius: float, fill: Colour, solid: bool = True) -> None:
        size = radius * self.height
        self.shapes.append(Disc(self.place(x, y), size, size, fill, solid))

    def poly(self, points: list[Point], fill: Colour, solid: bool = True) -> None:
        self.shapes.append(Poly([self.place(*p) for p in points], fill, solid))

    def leg(self, hip: Point, knee: Point, foot: Point, fill: Colour) -> None:
        if foot[1] > 0.12 or abs(foot[0] - knee[0]) > 0.16:  # the toe goes on along the shin
            length = math.dist(knee, foot) or 1.0
            dx, dy = (foot[0] - knee[0]) / length, (foot[1] - knee[1]) / length
            toe = (foot[0] + 0.045 * dx + 0.02 * abs(dy), foot[1] + 0.045 * dy)
        else:
            toe = (foot[0] + 0.055, foot[1] - 0.005)
        self.limb([hip, knee, foot], 0.098, fill)
        self.limb([foot, toe], 0.07, SHOES)

    def arm(self, shoulder: Point, elbow: Point, hand: Point, fill: Colour) -> None:
        self.disc(*hand, 0.046, self.skin)
        short = (hand[0] * 0.82 + elbow[0] * 0.18, hand[1] * 0.82 + elbow[1] * 0.18)
        self.limb([shoulder, elbow, short], 0.092, fill)


def _torso(body: _Body, pose: Pose) -> None:
    """The garment: a trunk, and for coats and dresses a skirt over the thighs."""
    (hx, hy), (nx, ny) = pose.hip, pose.neck
    length = math.dist(pose.hip, pose.neck)
    ax, ay = (nx - hx) / length, (ny - hy) / length  # along the trunk
    px, py = ay, -ax  # across it, to the front
    garment = body.person.garment
    top, waist = 0.105, 0.088
    trunk = [
        (nx - px * top - ax * 0.02, ny - py * top - ay * 0.02),
        (nx - px * 0.05 + ax * 0.025, ny - py * 0.05 + ay * 0.025),
        (nx + px * 0.05 + ax * 0.025, ny + py * 0.05 + ay * 0.025),
        (nx + px * top - ax * 0.02, ny + py * top - ay * 0.02),
        (hx + px * waist - ax * 0.03, hy + py * waist - ay * 0.03),
        (hx - px * waist - ax * 0.03, hy - py * waist - ay * 0.03),
    ]
    if garment != "shirt":
        reach, flare = (1.3, 0.12) if garment == "dress" else (0.78, 0.055)
        hem: list[Point] = [trunk[4], trunk[5], (hx - px * 0.07, hy - py * 0.07)]
        for side, knee in ((0.04, pose.front_knee), (-0.04, pose.rear_knee)):
            sx, sy = hx + px * side, hy + py * side
            ex, ey = sx + (knee[0] - sx) * reach, sy + (knee[1] - sy) * reach
            span = math.dist((sx, sy), (ex, ey)) or 1.0
            ux, uy = (ey - sy) / span, -(ex - sx) / span
            hem += [(ex + ux * flare, ey + uy * flare), (ex - ux * flare, ey - uy * flare)]
        # On bent knees the cloth lies on the ground, it does not go through it.
        body.poly(hull((x, max(y, 0.025)) for x, y in hem), body.cloth)
    body.poly(trunk, body.cloth)
    trim = mix(body.cloth, INK, 0.45)
    if body.person.colour == "black":
        trim = (130, 130, 140)
    if garment == "coat":
        low = (hx - ax * 0.1, hy - ay * 0.1)
        body.limb([(nx + px * 0.02, ny + py * 0.02), (hx + px * 0.02, hy)], 0.018, trim, False)
        for share in (0.25, 0.55, 0.85):
            x, y = nx + (low[0] - nx) * share + px * 0.05, ny + (low[1] - ny) * share + py * 0.05
            body.disc(x, y, 0.014, trim, False)
    elif garment == "dress":
        body.limb(
            [
                (hx - px * 0.085 + ax * 0.05, hy - py * 0.085 + ay * 0.05),
                (hx + px * 0.085 + ax * 0.05, hy + py * 0.085 + ay * 0.05),
            ],
            0.03,
            trim,
            False,
        )
    else:
        body.limb(
            [
                (hx - px * 0.08 - ax * 0.02, hy - py * 0.08 - ay * 0.02),
                (hx + px * 0.08 - ax * 0.02, hy + py * 0.08 - ay * 0.02),
            ],
            0.032,
            INK,
            False,
        )


def _hair_behind(body: _Body, at: Place) -> None:
    style, hair = body.person.hair_style, body.hair
    size = body.height
    if style == "long":
        mane = ((-0.6, 0.9), (0.5, 0.9), (0.35, -0.6), (0.1, -1.75), (-1.2, -1.75), (-1.25, -0.2))
        body.shapes.append(Poly([at(*p) for p in mane], hair))
    elif style == "bun":
        radius = 0.5 * HEAD * size
        body.shapes.append(Disc(at(-0.62, 1.05), radius, radius, hair))
    elif style == "curly":
        radius = 0.5 * HEAD * size
        for x, y in ((-1.0, -0.35), (-1.12, 0.25), (-0.75, 0.85), (-0.1, 1.1), (0.55, 0.88)):
            body.shapes.append(Disc(at(x, y), radius, radius, hair))


def _head(body: _Body, pose: Pose, mood: str, flip: bool) -> None:
    size = HEAD * body.height
    at = placer(body.place(*pose.head), size, pose.head_angle, flip)
    _hair_behind(body, at)
    shapes = body.shapes
    body.limb([pose.neck, pose.head], 0.07, body.skin)
    shapes.append(Disc(at(0, 0), size, size * 1.02, body.skin))
    ear = Disc(at(-0.28, -0.05), size * 0.17, size * 0.2, mix(body.skin, INK, 0.15), False)
    shapes.append(ear)
    low = -0.25 if body.person.hair_style != "short" else 0.0
    crown = arc((0, 0), 1.05, 1.08, 40, 180 - low * 60, 10)
    fringe = [(-0.62, low), (-0.45, 0.32), (0.1, 0.5)]
    shapes.append(Poly([at(*p) for p in (*crown, *fringe)], body.hair, False))
    _face(shapes, at, size, mood, body.skin)


def _face(shapes: list[Shape], at: Place, size: float, mood: str, skin: Colour) -> None:
    """Eyes, brows and mouth; the head's radius is 1 in its own coordinates."""
    eye_y = 0.08
    wide = mood == "surprised"
    for x in (0.1, 0.66):
        if wide:
            shapes.append(Disc(at(x, eye_y), size * 0.2, size * 0.24, WHITE, False))
        radius = size * (0.12 if not wide else 0.1)
        shapes.append(Disc(at(x, eye_y), radius, radius * 1.2, INK, False))
    brow = size * 0.1

    def stroke(points: list[Point], width: float, fill: Colour = INK) -> None:
        shapes.append(Limb([at(*p) for p in points], width, fill, False))

    red: Colour = (170, 30, 40)
    if mood == "happy":
        stroke([(-0.04, 0.32), (0.2, 0.36)], brow)
        stroke([(0.56, 0.36), (0.78, 0.32)], brow)
        mouth = arc((0.38, -0.3), 0.36, 0.36, 180, 360, 8)
        shapes.append(Poly([at(*p) for p in mouth], red, False))
        shapes.append(
            Poly(
                [at(*p) for p in ((0.1, -0.3), (0.66, -0.3), (0.6, -0.4), (0.16, -0.4))],
                WHITE,
                False,
            )
        )
        for x in (-0.12, 0.82):
            blush = mix(skin, (240, 90, 100), 0.5)
            shapes.append(Disc(at(x, -0.22), size * 0.13, size * 0.11, blush, False))
    elif mood == "sad":
        stroke([(-0.08, 0.26), (0.22, 0.42)], brow)
        stroke([(0.54, 0.42), (0.8, 0.26)], brow)
        stroke(arc((0.38, -0.72), 0.3, 0.28, 20, 160, 6), size * 0.12, red)
        for y, radius in ((-0.22, 0.12), (-0.42, 0.16)):
            tear = (90, 180, 255)
            shapes.append(Disc(at(0.04, y), size * radius, size * radius, tear, False))
    elif mood == "worried":
        stroke([(-0.08, 0.30), (0.24, 0.46)], brow)
        stroke([(0.52, 0.46), (0.8, 0.30)], brow)
        stroke([(0.12, -0.5), (0.26, -0.4), (0.4, -0.5), (0.54, -0.4), (0.66, -0.48)], size * 0.1)
        shapes.append(
            Poly(
                [at(*p) for p in ((-0.5, 0.5), (-0.68, 0.1), (-0.5, -0.02), (-0.32, 0.1))],
                (110, 200, 255),
                False,
            )
        )
    else:
        stroke([(-0.06, 0.5), (0.22, 0.58)], brow)
        stroke([(0.54, 0.58), (0.8, 0.5)], brow)
        shapes.append(Disc(at(0.38, -0.5), size * 0.22, size * 0.28, red, False))


def person_shapes(
    person: Person, pose: Pose, mood: str, foot: Point, height: float, flip: bool, light: Light
) -> tuple[list[Shape], list[Shape]]:
    """Two layers of one person: the body, and the hand and arm that go over the thing held.

    `foot` is the pixel below the figure on the ground, `height` the body's height in pixels.
    """
    body = _Body(person, light, placer(foot, height, 0.0, flip), height)
    trousers = light.touch(TROUSERS)
    far = mix(trousers, (0, 0, 0), 0.25)
    (hx, hy), (nx, ny) = pose.hip, pose.neck
    length = math.dist(pose.hip, pose.neck)
    ax, ay = (nx - hx) / length, (ny - hy) / length
    px, py = ay, -ax
    front_hip, rear_hip = (hx + px * 0.042, hy + py * 0.042), (hx - px * 0.042, hy - py * 0.042)
    front = (nx + px * 0.075 - ax * 0.05, ny + py * 0.075 - ay * 0.05)
    rear = (nx - px * 0.075 - ax * 0.05, ny - py * 0.075 - ay * 0.05)
    if pose.seat:
        wood = light.touch((156, 106, 62))
        for x in (-0.2, 0.0):
            body.limb([(x, 0.16), (x - 0.01, 0.0)], 0.04, wood)
        body.limb([(-0.22, 0.19), (0.03, 0.19)], 0.07, wood)
    if pose.open_hand or pose.overhead or pose.airborne:
        body.arm(rear, pose.rear_elbow, pose.rear_hand, body.cloth_far)
    body.leg(rear_hip, pose.rear_knee, pose.rear_foot, far)
    body.leg(front_hip, pose.front_knee, pose.front_foot, trousers)
    if not (pose.open_hand or pose.overhead or pose.airborne or pose.finger):
        body.arm(rear, pose.rear_elbow, pose.rear_hand, body.cloth_far)
    _torso(body, pose)
    _head(body, pose, mood, flip)
    below = body.shapes
    body.shapes = []
    if pose.finger:
        hand = pose.front_hand
        body.limb([hand, (hand[0] + 0.13, hand[1])], 0.04, body.skin)
        body.arm(front, pose.front_elbow, hand, body.cloth)
        body.arm(rear, pose.rear_elbow, pose.rear_hand, body.cloth_far)
    else:
        body.arm(front, pose.front_elbow, pose.front_hand, body.cloth)
    if pose.open_hand:
        x, y = pose.rear_hand
        for dx, dy in ((-0.075, 0.03), (-0.04, 0.08), (0.01, 0.09), (0.055, 0.065)):
            below.insert(
                0, Limb([body.place(x, y), body.place(x + dx, y + dy)], 0.034 * height, body.skin)
            )
    return below, body.shapes


def paint_person(
    draw: ImageDraw.ImageDraw, shapes: list[Shape], light: Light, height: float, halo: bool = True
) -> None:
    """Paint one layer of a person; the outline grows with the figure."""
    width = max(1.6, height * 0.008)
    paint(draw, shapes, INK, width, light.halo if halo else None, width * 1.1)
