"""Backdrops of rooms: library and kitchen. The window is drawn by `weather.draw_window`."""

from __future__ import annotations

from pipeline.storyworld.drawing.light import Colour, mix
from pipeline.storyworld.drawing.stage import Stage
from pipeline.storyworld.drawing.weather import gradient

SPINES: tuple[Colour, ...] = (
    (160, 50, 46),
    (40, 84, 120),
    (50, 110, 76),
    (206, 160, 60),
    (110, 60, 120),
    (214, 196, 160),
)


def _lamp(stage: Stage, colour: Colour) -> None:
    """A lamp from the ceiling, glowing when it is dark; at the same place in every shot."""
    light, draw = stage.light, stage.draw
    x = stage.frame(14, 0)[0]
    if light.time in ("night", "dusk"):
        base = stage.image.getpixel((int(x), 44))
        assert isinstance(base, tuple)
        wall = (int(base[0]), int(base[1]), int(base[2]))
        for radius, share in ((70, 0.16), (50, 0.34)):
            tone = mix(wall, (255, 210, 120), share)
            draw.ellipse((x - radius, 34 - radius, x + radius, 34 + radius), fill=tone)
    draw.line((x, 0, x, 20), fill=(50, 40, 40), width=3)
    draw.polygon([(x - 26, 38), (x + 26, 38), (x + 13, 16), (x - 13, 16)], fill=light.touch(colour))
    draw.ellipse((x - 9, 33, x + 9, 47), fill=light.glow)


def library(stage: Stage) -> None:
    """Brown shelves full of coloured books, a ladder, a carpet on the boards."""
    light, rng = stage.light, stage.rng
    stage.band(-140, 34, light.shade((104, 62, 38)))
    rows = (-128, -98, -68, -38, -8)
    for y in rows:
        stage.band(y, y + 26, light.shade((62, 36, 24)))
        x = stage.left
        while x < stage.right:
            width, height = rng.uniform(6.5, 11), rng.uniform(17, 24)
            stage.rect(x, y + 26 - height, x + width - 0.8, y + 26, light.shade(rng.choice(SPINES)))
            x += width
        stage.band(y + 26, y + 30, light.shade((140, 88, 52)))
    for x in (-225, -137, -50, 50, 137, 225):
        stage.rect(x - 4, -140, x + 4, 24, light.shade((140, 88, 52)))
    stage.band(22, 36, light.shade((84, 50, 32)))
    stage.band(34, 130, light.shade((178, 122, 74)))
    for y in (46, 60, 78):
        stage.band(y, y + 1.2, light.shade((140, 92, 54)))
    stage.oval(0, 78, 118, 32, light.shade((150, 40, 50)))
    stage.oval(0, 78, 106, 27, light.shade((196, 70, 66)))
    for x in (-32.0, -66.0):
        stage.line([(x - 6, 34), (x + 8, -110)], 3, light.shade((214, 164, 96)))
        if x < -40:
            for i in range(9):
                y = 24 - i * 15
                stage.line(
                    [(x - 5 + i * 1.45, y), (x + 29 + i * 1.45, y)],
                    2.4,
                    light.shade((214, 164, 96)),
                )
    _lamp(stage, (40, 120, 80))


def kitchen(stage: Stage) -> None:
    """Pale tiles, mint cupboards, a stove under its hood, pans, and a chequered floor."""
    light, rng = stage.light, stage.rng
    tile = light.shade((246, 240, 222))
    width = stage.image.width
    gradient(stage, (0, 0, width, int(stage.level) + 100), mix(tile, (255, 255, 255), 0.1), tile)
    seam = light.shade((216, 206, 186))
    for x in stage.spread(15, 0):
        stage.line([(x, -140), (x, 40)], 0.8, seam)
    for y in range(-135, 30, 15):
        stage.band(y, y + 0.8, seam)
    mint, dark = light.shade((120, 200, 176)), light.shade((80, 156, 136))
    for x in (-260, -216, -172, 150, 194, 238):
        stage.rect(x, -96, x + 40, -40, mint)
        stage.rect(x + 4, -91, x + 36, -46, dark)
    for x in range(-286, 286, 44):
        stage.rect(x, -8, x + 42, 40, mint)
        stage.rect(x + 5, 0, x + 37, 34, dark)
        stage.oval(x + 21, 6, 3, 2, light.shade((250, 220, 110)))
    stage.band(-14, -6, light.shade((170, 116, 70)))
    _stove(stage, -62 + rng.uniform(-3, 3))
    for x in (30, 48, 66):
        lid = -30 + rng.uniform(-2, 2)
        jar = light.shade(rng.choice(((230, 90, 70), (90, 140, 210))))
        stage.rect(x - 6, lid + 4, x + 6, -14, jar)
        stage.rect(x - 7, lid, x + 7, lid + 5, light.shade((180, 130, 80)))
    stage.band(-46, -43, light.shade((90, 84, 84)))
    for x in (-20, 0, 18):
        stage.line([(x, -44), (x, -34)], 1.6, light.shade((90, 84, 84)))
        stage.oval(x, -29, 8, 7, light.shade((196, 110, 60)))
    stage.band(40, 110, light.shade((250, 238, 216)))
    for y, low in ((40, 48), (48, 60), (60, 78), (78, 110)):  # tiles run to the vanishing point
        near, far = 0.5 + (low - 40) / 60, 0.5 + (y - 40) / 60
        for i in range(-12, 12):
            if (i + (y in (48, 78))) % 2:
                stage.poly(
                    [
                        (i * 28 * far, y),
                        ((i + 1) * 28 * far, y),
                        ((i + 1) * 28 * near, low),
                        (i * 28 * near, low),
                    ],
                    light.shade((206, 92, 74)),
                )
    _lamp(stage, (230, 100, 60))


def _stove(stage: Stage, x: float) -> None:
    light = stage.light
    iron = light.shade((66, 70, 80))
    hood = light.shade((150, 156, 166))
    stage.poly([(x - 30, -46), (x + 30, -46), (x + 12, -78), (x - 12, -78)], hood)
    stage.rect(x - 10, -140, x + 10, -78, light.shade((130, 136, 146)))
    stage.rect(x - 30, -46, x + 30, -41, iron)
    stage.rect(x - 30, -16, x + 30, 40, iron)
    stage.rect(x - 22, 4, x + 22, 32, light.shade((36, 34, 40)))
    for dx, height in ((-12, 8), (0, 13), (12, 9)):
        for half, share, tone in ((7, 1.6, (255, 140, 30)), (3, 0.8, (255, 220, 80))):
            stage.poly(
                [(x + dx - half, 30), (x + dx, 30 - height * share), (x + dx + half, 30)], tone
            )
    for dx in (-18, -6, 6, 18):
        stage.oval(x + dx, -8, 3, 3, light.shade((230, 230, 230)))
    stage.rect(x - 20, -28, x + 2, -16, light.shade((70, 110, 190)))
    stage.rect(x - 22, -30, x + 4, -27, light.shade((50, 84, 150)))
