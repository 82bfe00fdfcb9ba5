"""Draws one `Scene` as a picture: backdrop, weather, signboard, people and the thing at hand.

All that a caption may tell lies inside the central square (CLIP crops to it). Everything is drawn
at twice the size and reduced, which smooths the edges; the same scene gives the same bytes.
"""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass, replace
from functools import lru_cache

from PIL import Image, ImageDraw

from pipeline.storyworld.drawing.backdrops import draw_backdrop
from pipeline.storyworld.drawing.figures import paint_person, person_shapes
from pipeline.storyworld.drawing.light import INK, light_of, mix
from pipeline.storyworld.drawing.poses import POSES, Pose
from pipeline.storyworld.drawing.props import HANDLING, paint_icon, paint_thing
from pipeline.storyworld.drawing.shapes import Box, Place, Point, box_of, placer
from pipeline.storyworld.drawing.stage import OVERSIZE, Stage
from pipeline.storyworld.drawing.weather import (
    draw_entry,
    draw_flakes,
    draw_mist,
    draw_omen,
    draw_puddles,
    draw_rain,
    draw_window,
)
from pipeline.storyworld.world import INDOORS, Scene

# Of a frame 240 high: the figure's height, the ground below it, the size of the thing at hand.
FIGURE = {"wide": 144.0, "medium": 186.0, "close": 230.0}
GROUND = {"wide": 221.0, "medium": 230.0, "close": 236.0}
THING = {"wide": 64.0, "medium": 72.0, "close": 82.0}
BOARD = (64, 61)  # of the signboard
BOARD_AT = (-113.0, 4.0)
BOARD_WOOD = (122, 78, 44)
HALF = 114.0  # what matters lies at most this far from the centre
TOP = 4.0
CORNERS = 68.0  # what is at hand keeps below this, clear of the signboard


@dataclass(frozen=True)
class Picture:
    """A scene as it was drawn, and where in it people and the thing at hand are to be seen."""

    image: Image.Image
    subject: Box
    companion: Box | None
    """None where there is none, or where the shot leaves them out."""
    thing: Box


def draw_scene(scene: Scene, width: int, height: int = 240) -> Image.Image:
    """Draw a scene as an RGB picture; see `take_picture`."""
    return take_picture(scene, width, height).image


def take_picture(scene: Scene, width: int, height: int = 240) -> Picture:
    """Draw a scene as an RGB picture of `width` x `height` pixels, and say what is where.

    Raises KeyError for an attribute outside the vocabulary and ValueError for a picture that is
    narrower than high (the central square would not fit).
    """
    if width < height:
        raise ValueError(f"a picture must be at least as wide as high, not {width} x {height}")
    indoors = scene.place in INDOORS
    light = light_of(scene.time, scene.weather, indoors)
    # The layout is drawn for a height of 240; other heights are resized at the end.
    base_width = round(width * 240 / height)
    stage = Stage(base_width, 240, light, scene.shot, random.Random(scene.seed))
    draw_backdrop(stage, scene.place)
    if indoors:
        draw_window(stage, scene.omen)
        draw_entry(stage)
    else:
        if scene.omen is not None:
            draw_omen(stage, scene.omen)
        _weather_behind(stage)
    companion = None
    if scene.companion is not None and scene.shot != "close":
        companion = _companion(stage, scene)
    subject, thing = _subject(stage, scene)
    if scene.sign is not None:
        _signboard(stage, scene.sign)
    if not indoors and scene.weather == "rain":
        draw_rain(stage, 26)
    elif not indoors and scene.weather == "snow":
        draw_flakes(stage, 22)
    image = stage.image.reduce(OVERSIZE)
    if image.size != (width, height):
        image = image.resize((width, height))
    return Picture(
        image,
        subject=_seen(subject, stage, image),
        companion=None if companion is None else _seen(companion, stage, image),
        thing=_seen(thing, stage, image),
    )


def _seen(box: Box, stage: Stage, image: Image.Image) -> Box:
    """A box of the stage in whole pixels of the picture, as far as it lies within."""
    scale = image.width / stage.image.width
    left, top, right, bottom = (scale * edge for edge in box)
    return (
        max(math.floor(left), 0),
        max(math.floor(top), 0),
        min(math.ceil(right), image.width),
        min(math.ceil(bottom), image.height),
    )


def encode_jpeg(image: Image.Image) -> bytes:
    """Encode a picture as JPEG (quality 88); equal pictures give equal bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _weather_behind(stage: Stage) -> None:
    if stage.light.weather == "rain":
        draw_puddles(stage)
        draw_rain(stage, 110)
    elif stage.light.weather == "snow":
        draw_flakes(stage, 90)
    elif stage.light.weather == "fog":
        draw_mist(stage)


def _signboard(stage: Stage, prop: str) -> None:
    """A hanging board at the upper left, in front of all, the same in every shot and light."""
    left, top = stage.frame(*BOARD_AT)
    for x in (-99, -63):
        chain = (*stage.frame(x - 1.5, 0), *stage.frame(x + 1.5, BOARD_AT[1] + 2))
        stage.draw.rectangle(chain, fill=INK)
    board, outline = _board(prop, stage.light.time)
    stage.image.paste(board, (int(left), int(top)), outline)


@lru_cache(maxsize=64)
def _board(prop: str, time: str) -> tuple[Image.Image, Image.Image]:
    """The board with a thing on it and the board's own outline (there are 48 of them)."""
    light = light_of(time, "clear", False)
    width, height = BOARD[0] * OVERSIZE, BOARD[1] * OVERSIZE
    board, outline = Image.new("RGB", (width, height)), Image.new("L", (width, height))
    box = (0, 0, width - 1, height - 1)
    ImageDraw.Draw(outline).rounded_rectangle(box, radius=12, fill=255)
    draw = ImageDraw.Draw(board)
    draw.rounded_rectangle(box, radius=12, fill=light.touch(BOARD_WOOD), outline=INK, width=4)
    draw.rounded_rectangle(
        (8, 8, width - 9, height - 9), radius=8, fill=light.touch((255, 246, 220))
    )
    size = (41.0 if HANDLING[prop].long else 45.0) * OVERSIZE
    paint_icon(draw, prop, (width / 2, height / 2), size)
    return board, outline


def _companion(stage: Stage, scene: Scene) -> Box:
    assert scene.companion is not None
    height = 88.0 if scene.shot == "wide" else 104.0
    ground = GROUND[scene.shot] - (26.0 if scene.shot == "wide" else 20.0)
    foot = stage.frame(94 + stage.rng.uniform(-4, 4), ground)
    _shadow(stage, foot, 26)
    size = height * OVERSIZE
    layers = person_shapes(scene.companion, POSES["stand"], "happy", foot, size, True, stage.light)
    for shapes in layers:
        paint_person(stage.draw, shapes, stage.light, size)
    return box_of([*layers[0], *layers[1]])


def _shadow(stage: Stage, foot: Point, half: float) -> None:
    x, y = foot
    # The mean of the ground around the feet, darker: works on any ground.
    patch = stage.image.crop((int(x) - 64, int(y) - 12, int(x) + 64, int(y) + 4)).reduce((128, 16))
    tone = patch.getpixel((0, 0))
    assert isinstance(tone, tuple)
    fill = mix((int(tone[0]), int(tone[1]), int(tone[2])), (20, 16, 30), 0.34)
    half *= OVERSIZE
    stage.draw.ellipse((x - half, y - half * 0.16, x + half, y + half * 0.16), fill=fill)


def _subject(stage: Stage, scene: Scene) -> tuple[Box, Box]:
    """The main figure with the thing at hand, fitted into the central square; their boxes."""
    pose, handling = POSES[scene.action], HANDLING[scene.prop]
    height, thing = FIGURE[scene.shot], THING[scene.shot]
    ground = GROUND[scene.shot]
    if pose.overhead:
        thing = min(thing, 74.0)
        height = min(height, (ground - TOP - thing * 0.98) / pose.top)
    height = min(height, (ground - TOP) / pose.top, (HALF - 3) / pose.reach)
    slack = min(8.0, HALF - pose.reach * height)
    jitter = stage.rng.uniform(-slack, slack)
    height *= stage.rng.uniform(0.97, 1.0)
    foot = stage.frame(jitter, ground)
    _shadow(stage, foot, (0.5 if pose.flat else 0.26) * height)
    size = height * OVERSIZE
    place = placer(foot, size, 0.0, scene.facing_left)
    if pose.speed:
        _speed_lines(stage, place)
    angle = handling.lean
    if pose.overhead and handling.long:
        angle = 62.0 if scene.prop == "flag" else -62.0
    hold = place(*pose.hold)
    centre, length = _thing_centre(stage, hold, scene, thing, angle)
    grip = placer(centre, length, angle, scene.facing_left)(*handling.grip)
    pose = _gripping(pose, (abs(grip[0] - foot[0]) / size, (foot[1] - grip[1]) / size))
    below, above = person_shapes(
        scene.subject, pose, scene.mood, foot, size, scene.facing_left, stage.light
    )
    paint_person(stage.draw, below, stage.light, size)
    held = paint_thing(
        stage.draw, scene.prop, centre, length, stage.light, angle, scene.facing_left
    )
    paint_person(stage.draw, above, stage.light, size, halo=False)
    return box_of([*below, *above]), held


def _thing_centre(
    stage: Stage, hold: Point, scene: Scene, thing: float, angle: float
) -> tuple[Point, float]:
    """Where the thing's centre goes, and its unit length, in pixels, inside the central square."""
    pose, handling = POSES[scene.action], HANDLING[scene.prop]
    length = thing * OVERSIZE
    side = -1.0 if scene.facing_left else 1.0
    if pose.overhead:
        half = 0.46 if handling.long else 0.44
        x, y = hold[0], hold[1] - half * length
    else:
        grip = placer((0.0, 0.0), length, angle, scene.facing_left)(*handling.grip)
        # Bulky things are carried a little ahead, so that they do not cover the figure.
        ahead = (0.12 if handling.long else 0.26) * length * side
        x, y = hold[0] - grip[0] + ahead, hold[1] - grip[1]
    flat = pose.overhead and handling.long
    half_x = (0.62 if flat else 0.36 if handling.long else 0.55) * length
    half_y = (0.48 if flat else 0.7 if handling.long else 0.5) * length
    centre_x, edge = stage.centre, HALF * OVERSIZE
    x = min(max(x, centre_x - edge + half_x), centre_x + edge - half_x)
    # Below the signboard and the omen, which stand in the upper corners.
    top = TOP if pose.overhead else CORNERS
    y = min(max(y, top * OVERSIZE + half_y), stage.height * OVERSIZE - 6 - half_y)
    return (x, y), length


def _gripping(pose: Pose, grip: Point) -> Pose:
    """The pose with its holding hand at the thing's grip, as far as the arm reaches."""
    if pose.overhead:
        return pose
    elbow = pose.rear_elbow if pose.finger else pose.front_elbow
    dx, dy = grip[0] - elbow[0], grip[1] - elbow[1]
    short = min(1.0, 0.2 / max(math.hypot(dx, dy), 1e-6))
    hand = (elbow[0] + dx * short, elbow[1] + dy * short)
    return replace(pose, rear_hand=hand) if pose.finger else replace(pose, front_hand=hand)


def _speed_lines(stage: Stage, place: Place) -> None:
    """Streaks behind a runner and a puff of dust."""
    tone = mix(stage.light.halo, stage.light.shade((150, 150, 150)), 0.3)
    for y, start, stop in ((0.72, -0.26, -0.5), (0.56, -0.34, -0.56), (0.40, -0.3, -0.52)):
        stage.draw.line((*place(start, y), *place(stop, y)), fill=tone, width=6)
    for x, y, radius in ((-0.42, 0.05, 12), (-0.34, 0.03, 9), (-0.5, 0.03, 8)):
        px, py = place(x, y)
        stage.draw.ellipse((px - radius, py - radius, px + radius, py + radius), fill=tone)
