"""Backdrops of the open country: forest, garden, farm and mountain."""

from __future__ import annotations

from pipeline.storyworld.drawing.light import Colour, mix
from pipeline.storyworld.drawing.stage import Stage

FLOWERS: tuple[Colour, ...] = ((240, 70, 120), (250, 210, 50), (236, 60, 50), (190, 100, 220))


def jittered(stage: Stage, places: tuple[float, ...], most: float) -> list[float]:
    """The places, each moved by at most `most`."""
    return [x + stage.rng.uniform(-most, most) for x in places]


def forest(stage: Stage) -> None:
    """Dark trunks close together under a green roof of leaves, ferns and toadstools."""
    light, rng = stage.light, stage.rng
    stage.band(-90, 12, light.shade((58, 104, 70)))
    for x in stage.spread(26, 6):
        tone = light.shade(rng.choice(((70, 74, 58), (60, 84, 62))))
        stage.rect(x - 3, -90, x + 3, 6, tone)
    stage.band(4, 130, light.ground((66, 108, 54)))
    for x in stage.spread(34, 6):
        stage.oval(x, 5, 22, 6, light.dusted((50, 120, 60)))
    for x in jittered(stage, (-255, -200, -146, -98, -47, 47, 98, 146, 200, 255), 4):
        width = rng.uniform(8, 11)
        bark = light.shade(rng.choice(((96, 62, 40), (84, 56, 38))))
        stage.poly(
            [
                (x - width * 0.7, -100),
                (x + width * 0.7, -100),
                (x + width * 0.8, 14),
                (x + width * 1.5, 22),
                (x - width * 1.5, 22),
                (x - width * 0.8, 14),
            ],
            bark,
        )
        stage.rect(x - width * 0.4, -90, x - width * 0.1, 10, mix(bark, (255, 240, 210), 0.14))
    for x in stage.spread(40, 10):
        y = -92 + rng.uniform(-4, 8)
        tone = rng.choice(((34, 110, 56), (46, 128, 62), (28, 92, 50)))
        stage.oval(x, y, 34, 24, light.dusted(tone))
    for _ in range(16):
        x, y = rng.uniform(-270, 270), rng.uniform(22, 80)
        if rng.random() < 0.5:
            for dx in (-8, -3, 3, 8):
                stage.line([(x, y), (x + dx, y - 11)], 2, light.dusted((40, 140, 62)))
        else:
            stage.rect(x - 1.5, y - 5, x + 1.5, y, light.shade((244, 236, 220)))
            stage.oval(x, y - 6, 5, 3.4, light.ground((220, 50, 40)))


def garden(stage: Stage) -> None:
    """A clipped hedge with a rose arch, bright lawn and beds in full bloom."""
    light, rng = stage.light, stage.rng
    for x in stage.spread(58, 8):
        tone = light.dusted(rng.choice(((120, 190, 100), (140, 204, 110))))
        stage.oval(x, -28, 24, 26, tone)
    hedge = light.dusted((40, 128, 60))
    stage.band(-26, 10, hedge)
    for x in stage.spread(16, 2):
        stage.oval(x, -26, 10, 6, hedge)
    for x in (-220, -112, -46, 46, 112, 220):
        stage.oval(x, -30, 15, 20, light.dusted((30, 106, 52)))
    stage.band(8, 130, light.ground((128, 204, 84)))
    fence = light.shade((252, 250, 244))
    for x in stage.spread(15, 0):
        stage.rect(x - 2.6, -8, x + 2.6, 12, fence)
    stage.band(-3, 0, fence)
    stage.band(5, 8, fence)
    for row, y in enumerate((17, 30, 50)):
        stage.band(y - 4, y + 4, light.ground((116, 78, 50)))
        for x in stage.spread(12 + row * 2, 2):
            tone = light.shade(rng.choice(FLOWERS))
            if stage.seen(x - 5, x + 5):
                stage.line([(x, y + 2), (x, y - 6)], 1.6, light.shade((40, 140, 60)))
                stage.oval(x, y - 7, 4.6, 4.6, tone)
                if stage.zoom > 1:
                    stage.oval(x, y - 7, 1.6, 1.6, light.shade((255, 240, 140)))


def farm(stage: Stage) -> None:
    """A red barn with a white-crossed door, a silo, wheat in rows and a rail fence."""
    light, rng = stage.light, stage.rng
    stage.poly(
        [
            (-300, 4),
            (-180, -20),
            (-60, -6),
            (80, -18),
            (200, -4),
            (300, -16),
            (300, 10),
            (-300, 10),
        ],
        light.ground((150, 180, 84)),
    )
    stage.band(6, 130, light.ground((232, 190, 76)))
    for x in stage.spread(22, 0):
        stage.line([(x, 8), (x * 2.0, 112)], 2.2, light.ground((200, 152, 50)))
    _barn(stage, -58 + rng.uniform(-3, 3), 1.0)
    _barn(stage, 62 + rng.uniform(-3, 3), 0.86)
    for x in jittered(stage, (-190, 178, 236, -250), 6):
        stage.rect(x - 14, -62, x + 14, 10, light.shade((206, 210, 216)))
        stage.oval(x, -62, 14, 12, light.ground((160, 60, 54)))
    for _ in range(4):
        x = rng.choice((-1, 1)) * rng.uniform(120, 240)
        stage.oval(x, 24, 15, 11, light.ground((244, 206, 90)))
        stage.oval(x, 24, 6, 5, light.ground((206, 160, 60)))
    fence = light.ground((146, 106, 70))
    stage.band(24, 27, fence)
    stage.band(33, 36, fence)
    for x in stage.spread(36, 0):
        stage.rect(x - 2.5, 19, x + 2.5, 42, fence)


def _barn(stage: Stage, x: float, size: float) -> None:
    light = stage.light
    red, trim = light.shade((196, 40, 38)), light.shade((250, 246, 240))

    def px(dx: float) -> float:
        return x + dx * size

    low = 12
    walls = [
        (px(-44), low),
        (px(-44), -32 * size),
        (px(-26), -58 * size),
        (x, -70 * size),
        (px(26), -58 * size),
        (px(44), -32 * size),
        (px(44), low),
    ]
    stage.poly(walls, red)
    roof = [
        (px(-49), -28 * size),
        (px(-29), -62 * size),
        (x, -76 * size),
        (px(29), -62 * size),
        (px(49), -28 * size),
    ]
    stage.line(roof, 6, light.ground((92, 70, 66)))
    stage.rect(px(-20), -24 * size, px(20), low, trim)
    stage.rect(px(-17), -21 * size, px(17), low, light.shade((156, 30, 32)))
    stage.line([(px(-17), -21 * size), (px(17), low)], 3, trim)
    stage.line([(px(17), -21 * size), (px(-17), low)], 3, trim)
    stage.rect(px(-8), -50 * size, px(8), -36 * size, trim)
    stage.rect(px(-6), -48 * size, px(6), -38 * size, light.glow)


def mountain(stage: Stage) -> None:
    """Grey-violet peaks with white caps, pines and bare rock."""
    light, rng = stage.light, stage.rng
    far = ((-260, 84), (-165, 98), (-95, 82), (-30, 96), (30, 94), (98, 84), (170, 100), (262, 80))
    for i, (peak, tall) in enumerate(far):
        height = tall + rng.uniform(-6, 6)
        x = peak + rng.uniform(-5, 5)
        half = height * 0.72
        tone = light.shade((134, 128, 164) if i % 2 else (112, 108, 146))
        stage.poly([(x - half, 8), (x, -height), (x + half, 8)], tone)
        stage.poly([(x, -height), (x + half, 8), (x + half * 0.2, 8)], mix(tone, (30, 26, 60), 0.2))
        cap = height * 0.36
        side = cap * 0.72
        stage.poly(
            [
                (x, -height),
                (x + side, -height + cap),
                (x + side * 0.4, -height + cap * 0.75),
                (x, -height + cap * 1.05),
                (x - side * 0.4, -height + cap * 0.75),
                (x - side, -height + cap),
            ],
            light.snow,
        )
    stage.band(4, 130, light.ground((150, 148, 132)))
    for x in stage.spread(46, 10):
        rock = light.ground((128, 126, 122))
        stage.poly([(x - 30, 8), (x - 10, -5), (x + 14, -2), (x + 32, 8)], rock)
    for x in jittered(stage, (-240, -150, -104, -48, 48, 104, 160, 236), 4):
        stage.rect(x - 2, 4, x + 2, 14, light.shade((84, 56, 38)))
        for i in range(3):
            half, foot = 14 - i * 3.4, 6 - i * 11
            needles = light.dusted((30, 92, 72))
            stage.poly([(x - half, foot), (x, foot - 19), (x + half, foot)], needles)
    for _ in range(18):
        x, y = rng.uniform(-270, 270), rng.uniform(20, 90)
        stage.oval(x, y, rng.uniform(4, 9), 3.5, light.ground((112, 108, 108)))
