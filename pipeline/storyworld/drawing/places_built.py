"""Backdrops with buildings: market, station and castle."""

from __future__ import annotations

from pipeline.storyworld.drawing.light import Colour
from pipeline.storyworld.drawing.stage import Stage

AWNINGS: tuple[Colour, ...] = ((214, 50, 50), (40, 130, 90), (240, 150, 30), (60, 100, 200))
FRUIT: tuple[Colour, ...] = ((226, 60, 50), (250, 180, 40), (120, 190, 60), (160, 80, 180))


def market(stage: Stage) -> None:
    """A square with houses behind and rows of stalls under striped awnings."""
    light, rng = stage.light, stage.rng
    for x in stage.spread(62, 6):
        wall = light.shade(rng.choice(((240, 214, 170), (226, 188, 150), (214, 200, 190))))
        top = rng.uniform(-58, -44)
        roof = light.ground((176, 84, 62))
        if not stage.seen(x - 34, x + 34):
            continue
        stage.rect(x - 29, top, x + 29, 6, wall)
        stage.poly([(x - 34, top + 2), (x, top - 22), (x + 34, top + 2)], roof)
        for dx in (-15, 7):
            stage.rect(x + dx, top + 9, x + dx + 9, top + 21, light.glow)
    stage.band(2, 120, light.ground((222, 188, 142)))
    for y in (14, 28, 46, 70):
        stage.band(y, y + 1.2, light.ground((196, 160, 116)))
    for x in (-212, -126, -45, 45, 126, 212):
        _stall(stage, x + rng.uniform(-3, 3), rng.choice(AWNINGS))


def _stall(stage: Stage, x: float, colour: Colour) -> None:
    light, rng = stage.light, stage.rng
    fruit = [rng.choice(FRUIT) for _ in range(3)]
    if not stage.seen(x - 40, x + 40):
        return
    wood = light.shade((150, 100, 58))
    for dx in (-34, 32):
        stage.rect(x + dx, -40, x + dx + 3, 20, wood)
    stage.rect(x - 36, -6, x + 36, 20, light.shade((186, 130, 76)))
    stage.rect(x - 38, -8, x + 38, -4, wood)
    for i, tone in enumerate(fruit):
        for dx in (-7, 0, 7):
            stage.oval(x - 22 + i * 22 + dx, -11, 4.4, 4.4, light.shade(tone))
    stripes = (light.shade(colour), light.ground((252, 246, 232)))
    for i in range(6):
        left, right = x - 39 + i * 13, x - 26 + i * 13
        upper, upper_right = x - 33 + i * 11, x - 22 + i * 11
        stage.poly([(upper, -52), (upper_right, -52), (right, -33), (left, -33)], stripes[i % 2])
        stage.oval((left + right) / 2, -33, 6.5, 5, stripes[i % 2])


def station(stage: Stage) -> None:
    """A train at the platform under a roof on iron posts, with a clock."""
    light, rng = stage.light, stage.rng
    shift = rng.uniform(-6, 6)
    stage.band(-20, 10, light.shade((120, 110, 104)))
    body = light.shade(rng.choice(((30, 92, 84), (36, 84, 100), (34, 100, 70))))
    for x in (-275.0, -137.5, 0.0, 137.5, 275.0):
        left = x - 66 + shift
        if not stage.seen(left, left + 132):
            continue
        stage.rect(left, -46, left + 132, 8, body)
        stage.rect(left, -52, left + 132, -45, light.ground((74, 78, 86)))
        stage.rect(left, -14, left + 132, -8, light.shade((240, 200, 60)))
        for i in range(5):
            wx = left + 8 + i * 25
            stage.rect(wx, -39, wx + 17, -20, light.glow)
        for dx in (22, 48, 84, 110):
            stage.oval(left + dx, 9, 8, 6, light.shade((46, 46, 52)))
    stage.band(8, 130, light.ground((176, 172, 172)))
    stage.band(14, 18, light.shade((110, 106, 108)))
    stage.band(20, 24, light.shade((252, 214, 40)))
    for x in stage.spread(40, 0):
        stage.line([(x, 26), (x * 1.9, 110)], 0.8, light.ground((150, 146, 146)))
    iron = light.shade((70, 80, 96))
    for x in (-205.0, -46.0, 46.0, 205.0):
        stage.rect(x - 2.5, -78, x + 2.5, 16, iron)
    stage.band(-88, -76, iron)
    for x in stage.spread(14, 0):
        stage.poly([(x, -76), (x + 14, -76), (x + 7, -69)], light.shade((200, 80, 60)))
    stage.oval(0, -66, 9, 9, light.shade((60, 40, 30)))
    stage.oval(0, -66, 7, 7, light.glow)


def castle(stage: Stage) -> None:
    """Grey walls and towers with blue roofs, banners and a gate, on a green hill."""
    light, rng = stage.light, stage.rng
    stage.poly(
        [(-300, 6), (-200, -26), (-120, -6), (0, -14), (120, -8), (220, -30), (300, 6)],
        light.ground((96, 140, 84)),
    )
    stone, dark = light.shade((168, 166, 178)), light.shade((124, 122, 138))
    stage.rect(-190, -44, 190, 10, stone)
    for x in range(-190, 190, 13):
        stage.rect(x, -50, x + 7, -43, stone)
    for y in (-32, -20, -8):
        for x in range(-184, 190, 24):
            if stage.seen(x, x + 9):
                stage.rect(x + (y % 3) * 5, y, x + 9 + (y % 3) * 5, y + 3, dark)
    roof = rng.choice(((56, 76, 160), (60, 90, 180), (50, 70, 140)))
    for x, half, top in (
        (-150, 18, -84),
        (-44, 15, -72),
        (44, 15, -72),
        (150, 18, -84),
        (-235, 22, -60),
        (235, 22, -60),
    ):
        stage.rect(x - half, top, x + half, 12, light.shade((186, 184, 194)))
        stage.rect(x + half * 0.3, top, x + half, 12, stone)
        stage.rect(x - half - 3, top - 4, x + half + 3, top + 3, dark)
        stage.poly(
            [(x - half - 5, top - 3), (x, top - 40), (x + half + 5, top - 3)], light.ground(roof)
        )
        stage.line([(x, top - 38), (x, top - 52)], 1.4, dark)
        stage.poly([(x, top - 52), (x + 13, top - 47), (x, top - 43)], light.shade((230, 60, 60)))
        for y in (top + 14, top + 36):
            stage.rect(x - 3.5, y, x + 3.5, y + 12, light.glow)
    stage.oval(0, -14, 17, 18, dark)
    stage.rect(-17, -14, 17, 12, dark)
    stage.oval(0, -13, 13, 14, light.shade((92, 58, 34)))
    stage.rect(-13, -13, 13, 12, light.shade((92, 58, 34)))
    stage.band(10, 130, light.ground((112, 166, 84)))
    stage.poly([(-13, 10), (13, 10), (70, 120), (-70, 120)], light.ground((216, 196, 156)))
