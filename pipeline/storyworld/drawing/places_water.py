"""Backdrops with water: harbour, beach and bridge."""

from __future__ import annotations

from pipeline.storyworld.drawing.light import WHITE, Colour, mix
from pipeline.storyworld.drawing.stage import Stage

HULLS: tuple[Colour, ...] = ((200, 50, 50), (40, 90, 170), (240, 240, 236), (30, 110, 110))


def _water(stage: Stage, top: float, low: float, colour: Colour) -> None:
    light, rng = stage.light, stage.rng
    base = light.shade(colour)
    stage.band(top, low, base)
    pale = mix(base, WHITE, 0.35)
    for _ in range(34):
        x, y = rng.uniform(-290, 290), rng.uniform(top + 2, low - 2)
        stage.line([(x, y), (x + 12, y)], 1.2, pale)


def harbour(stage: Stage) -> None:
    """Boats with masts and sails on blue water, a lighthouse, and a plank quay in front."""
    light, rng = stage.light, stage.rng
    _water(stage, -4, 46, (46, 110, 184))
    stage.poly([(-300, 0), (-240, -18), (-180, -2), (-300, -2)], light.ground((110, 130, 110)))
    x = -150 + rng.uniform(-4, 4)
    for i, tone in enumerate(((240, 240, 236), (214, 50, 50), (240, 240, 236), (214, 50, 50))):
        stage.rect(x - 9 + i * 0.0, -62 + i * 16, x + 9, -46 + i * 16, light.shade(tone))
    stage.rect(x - 7, -74, x + 7, -62, light.glow)
    stage.poly([(x - 10, -74), (x, -84), (x + 10, -74)], light.shade((180, 40, 40)))
    for bx in (-232, -92, -44, 45, 98, 178, 246):
        _boat(stage, bx + rng.uniform(-5, 5), rng.uniform(4, 12), rng.choice(HULLS))
    plank = light.ground((170, 128, 84))
    stage.band(40, 130, plank)
    for y in (42, 50, 60, 72, 86):
        stage.band(y, y + 1.3, light.ground((124, 88, 54)))
    for px in (-190, -110, -52, 52, 110, 190):
        stage.rect(px - 5, 28, px + 5, 50, light.shade((92, 62, 40)))
        stage.oval(px, 28, 5.5, 3, light.ground((130, 92, 62)))


def _boat(stage: Stage, x: float, y: float, hull: Colour) -> None:
    light = stage.light
    if not stage.seen(x - 32, x + 32):
        return
    mast = light.shade((110, 72, 44))
    stage.rect(x - 1.6, y - 78, x + 1.6, y, mast)
    stage.poly([(x + 3, y - 74), (x + 25, y - 16), (x + 3, y - 16)], light.shade((250, 246, 232)))
    stage.poly([(x - 3, y - 64), (x - 18, y - 18), (x - 3, y - 18)], light.shade((236, 216, 180)))
    stage.poly(
        [(x - 28, y - 10), (x + 30, y - 10), (x + 22, y + 8), (x - 20, y + 8)], light.shade(hull)
    )
    stage.rect(x - 28, y - 11, x + 30, y - 8, light.ground((70, 50, 40)))


def beach(stage: Stage) -> None:
    """Turquoise sea, yellow sand, a palm at the left and a striped umbrella."""
    light, rng = stage.light, stage.rng
    _water(stage, -10, 22, (36, 186, 196))
    foam = mix(light.shade((36, 186, 196)), WHITE, 0.7)
    stage.band(20, 130, light.ground((250, 222, 140)))
    for x in stage.spread(34, 6):
        stage.oval(x, 21, 20, 3.2, foam)
    for _ in range(30):
        x, y = rng.uniform(-280, 280), rng.uniform(30, 100)
        stage.oval(x, y, 1.6, 1.0, light.ground((222, 186, 100)))
    for x, lean in ((-212, 10), (-49, -14), (196, -10)):
        _palm(stage, x + rng.uniform(-3, 3), lean)
    for x in (-120, 50, 132, 250):
        _umbrella(stage, x + rng.uniform(-3, 3), rng.choice(((230, 60, 70), (240, 120, 40))))


def _palm(stage: Stage, x: float, lean: float) -> None:
    light = stage.light
    trunk = [(x, 34), (x + lean * 0.2, 0), (x + lean, -48)]
    stage.line(trunk, 7, light.shade((140, 98, 58)))
    leaf, dark = light.dusted((44, 150, 70)), light.dusted((28, 116, 56))
    tx, ty = trunk[-1]
    for dx, dy, tone in (
        (-40, 8, dark),
        (40, 8, dark),
        (-32, -20, leaf),
        (32, -20, leaf),
        (-18, 24, leaf),
        (20, 24, leaf),
        (2, -30, dark),
    ):
        stage.poly(
            [
                (tx, ty),
                (tx + dx * 0.5 - dy * 0.2, ty + dy * 0.5 - 11),
                (tx + dx, ty + dy),
                (tx + dx * 0.5 + dy * 0.1, ty + dy * 0.5 + 4),
            ],
            tone,
        )
    stage.oval(tx - 4, ty + 4, 4, 4, light.shade((100, 62, 34)))
    stage.oval(tx + 5, ty + 4, 4, 4, light.shade((100, 62, 34)))


def _umbrella(stage: Stage, x: float, colour: Colour) -> None:
    light = stage.light
    stage.rect(x - 1.6, -34, x + 1.6, 42, light.shade((240, 240, 236)))
    tones = (light.shade(colour), light.ground((252, 250, 240)))
    edges = (-36, -22, -8, 8, 22, 36)
    for i in range(5):
        stage.poly([(x, -44), (x + edges[i], -20), (x + edges[i + 1], -20)], tones[i % 2])
    stage.rect(x - 26, 40, x + 26, 46, light.shade((60, 130, 210)))


def bridge(stage: Stage) -> None:
    """A stone bridge of three arches over a river; a wooden deck with rails in front."""
    light, rng = stage.light, stage.rng
    for x in stage.spread(52, 10):
        green = light.dusted(rng.choice(((92, 150, 84), (110, 164, 90))))
        stage.oval(x, -4, 36, 20 + rng.uniform(0, 8), green)
    _water(stage, 4, 52, (70, 136, 190))
    stone, dark = light.ground((196, 176, 150)), light.shade((146, 124, 104))
    face = light.shade((186, 164, 138))
    stage.poly(
        [(-300, -16), (-150, -22), (0, -34), (150, -22), (300, -16), (300, 8), (-300, 8)], face
    )
    river = mix(light.shade((70, 136, 190)), (10, 20, 40), 0.25)
    for x, rx, ry in ((-150, 34, 22), (-52, 36, 28), (52, 36, 28), (150, 34, 22), (240, 30, 18)):
        stage.oval(x, 10, rx + 4, ry + 4, dark)
        stage.oval(x, 10, rx, ry, river)
    stage.band(10, 26, light.shade((70, 136, 190)))
    for a, b in (
        ((-300, -16), (-150, -22)),
        ((-150, -22), (0, -34)),
        ((0, -34), (150, -22)),
        ((150, -22), (300, -16)),
    ):
        stage.line([a, b], 6, stone)
    for x in range(-290, 300, 29):
        y = -34 + abs(x) * 0.08 if abs(x) < 150 else -22 + (abs(x) - 150) * 0.04
        stage.rect(x - 3, y - 9, x + 3, y, stone)
    stage.band(44, 130, light.ground((150, 106, 70)))
    for x in stage.spread(24, 0):
        stage.line([(x, 44), (x * 1.6, 110)], 1.0, light.ground((104, 70, 44)))
    rail = light.ground((118, 76, 48))
    stage.band(22, 26, rail)
    for x in (-240, -166, -92, -50, 50, 92, 166, 240):
        stage.rect(x - 3, 18, x + 3, 48, rail)
