"""Sky, sun and moon, rain, snow and fog, and the omen of the weather to come."""

from __future__ import annotations

import math
from functools import lru_cache

from PIL import Image

from pipeline.storyworld.drawing.light import WHITE, Colour, mix, scaled
from pipeline.storyworld.drawing.stage import Stage

RAINBOW: tuple[Colour, ...] = (
    (238, 60, 60),
    (250, 150, 40),
    (250, 226, 60),
    (80, 196, 90),
    (60, 130, 236),
    (150, 80, 200),
)


def gradient(stage: Stage, box: tuple[int, int, int, int], top: Colour, low: Colour) -> None:
    """Fill a pixel box with a vertical gradient."""
    width, height = box[2] - box[0], box[3] - box[1]
    column = _column(height, top, low)
    stage.image.paste(column.resize((width, height), Image.Resampling.NEAREST), box[:2])


@lru_cache(maxsize=64)
def _column(height: int, top: Colour, low: Colour) -> Image.Image:
    strip = Image.new("RGB", (1, 2))
    strip.putpixel((0, 0), top)
    strip.putpixel((0, 1), low)
    return strip.resize((1, height), Image.Resampling.BILINEAR, box=(0, 0.5, 1, 1.5))


def draw_sky(stage: Stage) -> None:
    """The sky down to a little below the horizon: gradient, sun or moon, stars, clouds."""
    light, rng = stage.light, stage.rng
    low = int(stage.level) + 8
    gradient(stage, (0, 0, stage.image.width, low), light.sky_top, light.sky_low)
    clear = light.weather == "clear"
    if light.night and clear:
        for _ in range(46):
            x, y = rng.uniform(0, stage.image.width), rng.uniform(0, stage.level * 0.9)
            size = rng.choice((1.5, 2.2, 3.2))
            stage.draw.ellipse((x - size, y - size, x + size, y + size), fill=(240, 240, 220))
    if clear:
        _orb(stage, rng.uniform(-32, -18), {"noon": 24, "night": 26}.get(light.time, 62))
    for _ in range(5):
        x, y = rng.uniform(-290, 290), rng.uniform(8, 70)
        if light.weather in ("rain", "snow"):
            tone = mix(light.sky_top, (50, 56, 70) if light.weather == "rain" else WHITE, 0.3)
            cloud(stage, x, y * 0.4, rng.uniform(1.0, 1.5), tone)
        elif clear and not light.night and not -130 < x < 130:
            cloud(stage, x, y, rng.uniform(0.6, 0.9), mix(light.sky_low, WHITE, 0.65))


def _orb(stage: Stage, x: float, y: float) -> None:
    light = stage.light
    px, py = stage.frame(x, y)
    for radius, share in ((44, 0.12), (35, 0.3)):
        tone = mix(light.sky_top, light.day.orb, share)
        stage.draw.ellipse((px - radius, py - radius, px + radius, py + radius), fill=tone)
    radius = 27
    stage.draw.ellipse((px - radius, py - radius, px + radius, py + radius), fill=light.day.orb)
    if light.night:
        shadow = mix(light.sky_top, light.day.orb, 0.3)
        stage.draw.ellipse((px - 8, py - 31, px + 38, py + 15), fill=shadow)


def cloud(stage: Stage, x: float, y: float, size: float, fill: Colour) -> None:
    """A heaped cloud at a frame point, about 60 pixels wide at size 1."""
    for dx, dy, radius in ((-22, 4, 10), (-10, -3, 13), (6, -7, 15), (20, 2, 12)):
        px, py = stage.frame(x + dx * size, y + dy * size)
        r = radius * size * 2
        stage.draw.ellipse((px - r, py - r, px + r, py + r), fill=fill)
    box = (*stage.frame(x - 24 * size, y + 2 * size), *stage.frame(x + 22 * size, y + 14 * size))
    stage.draw.rectangle(box, fill=fill)


def draw_omen(stage: Stage, omen: str, x: float = 82.0, y: float = 49.0, size: float = 1.0) -> None:
    """The coming weather around a frame point: at most 70 by 60 pixels at size 1."""
    light = stage.light
    draw = stage.draw
    dim = 0.8 if light.night else 1.0
    if omen == "rain":
        for dx in (-20, -6, 8, 22):
            top = stage.frame(x + dx * size, y + 8)
            low = stage.frame(x + (dx - 6) * size, y + 29 * size)
            draw.line((*top, *low), fill=(112, 164, 226), width=7)
        cloud(stage, x, y - 7 * size, 1.12 * size, (30, 33, 46))
        cloud(stage, x - 2, y - 8 * size, 0.98 * size, (66, 70, 88))
    elif omen == "snow":
        cloud(stage, x, y - 9 * size, 1.14 * size, (120, 140, 178))
        cloud(stage, x, y - 10 * size, 1.02 * size, scaled((250, 252, 255), (dim, dim, 1.0)))
        for dx, dy, radius in ((-18, 17, 9), (4, 20, 12), (24, 15, 9)):
            px, py = stage.frame(x + dx * size, y + dy * size)
            for turn in (90, 30, 150):
                ex = math.cos(math.radians(turn)) * radius * 2 * size
                ey = math.sin(math.radians(turn)) * radius * 2 * size
                draw.line((px - ex, py - ey, px + ex, py + ey), fill=(70, 110, 190), width=9)
                draw.line((px - ex, py - ey, px + ex, py + ey), fill=(255, 255, 255), width=5)
    elif omen == "fog":
        tone = mix(light.day.mist, WHITE, 0.45)
        edge = mix(light.day.mist, (84, 94, 124), 0.75)
        for row, (shift, half) in enumerate(((-4, 26), (5, 33), (-3, 34), (3, 30))):
            cy = y - 14 + row * 13 * size
            left, right = x + (shift - half) * size, min(117.0, x + (shift + half) * size)
            box = (*stage.frame(left, cy), *stage.frame(right, cy + 9 * size))
            draw.rounded_rectangle(box, radius=9, fill=tone, outline=edge, width=3)
    else:
        glow = (255, 238, 160)
        for radius, share in ((30, 0.45), (22, 0.8)):
            r = radius * 2 * size
            px, py = stage.frame(x + 4, y + 12 * size)
            draw.ellipse(
                (px - r, py - r * 0.8, px + r, py + r * 0.8), fill=mix(light.sky_low, glow, share)
            )
        for step, tone in enumerate(RAINBOW):
            r = (33 - step * 3.4) * size
            box = (
                *stage.frame(x - r, y + 22 * size - r * 1.35),
                *stage.frame(x + r, y + 22 * size + r * 1.35),
            )
            draw.arc(box, 180, 360, fill=tone, width=int(7.5 * size))


def draw_mist(stage: Stage) -> None:
    """Fog over the backdrop: pale bands (the palette has veiled the rest already)."""
    light, rng = stage.light, stage.rng
    tone = mix(light.day.mist, WHITE, 0.12 if not light.night else 0.06)
    for row in range(7):
        y = 66 + row * 23 + rng.uniform(-5, 5)
        x = rng.uniform(-300, 100)
        for start in (x, x + rng.uniform(260, 320)):
            box = (*stage.frame(start, y), *stage.frame(start + rng.uniform(150, 230), y + 9))
            stage.draw.rounded_rectangle(box, radius=9, fill=tone)


def draw_rain(stage: Stage, count: int, width: int = 3) -> None:
    """Slanting streaks all over the frame."""
    light, rng = stage.light, stage.rng
    tones = [mix((206, 226, 246), light.day.grey, share) for share in (0.1, 0.35)]
    for _ in range(count):
        x, y = rng.uniform(-10, stage.image.width + 20), rng.uniform(-20, stage.image.height)
        length = rng.uniform(26, 46)
        tone = tones[rng.random() < 0.5]
        stage.draw.line((x, y, x - length * 0.3, y + length), fill=tone, width=width)


def draw_puddles(stage: Stage) -> None:
    """Puddles on the ground, at the same height in every shot."""
    rng = stage.rng
    tone = mix(stage.light.sky_low, (150, 186, 220), 0.5)
    for x in (-150.0, -76.0, 66.0, 170.0):
        x, y = x + rng.uniform(-16, 16), rng.uniform(206, 230)
        px, py = stage.frame(x, y)
        stage.draw.ellipse((px - 56, py - 12, px + 56, py + 12), fill=tone)
        stage.draw.arc((px - 24, py - 6, px + 24, py + 6), 0, 360, fill=WHITE, width=2)


def draw_flakes(stage: Stage, count: int) -> None:
    """Snow flakes all over the frame."""
    rng = stage.rng
    tone = (255, 255, 255) if not stage.light.night else (214, 224, 250)
    for _ in range(count):
        x, y = rng.uniform(0, stage.image.width), rng.uniform(0, stage.image.height)
        size = rng.uniform(2.6, 5.6)
        stage.draw.ellipse((x - size, y - size, x + size, y + size), fill=tone)


def draw_window(stage: Stage, omen: str | None) -> None:
    """A large window at the right of a room: sky, weather and omen behind its panes."""
    light, rng = stage.light, stage.rng
    left, top, right, low = 40.0, 12.0, 117.0, 106.0
    x0, y0 = stage.frame(left, top)
    x1, y1 = stage.frame(right, low)
    box = (int(x0), int(y0), int(x1), int(y1))
    gradient(stage, box, light.sky_top, light.sky_low)
    draw = stage.draw
    hills = mix(light.shade((88, 150, 90)), light.sky_low, 0.25)
    if light.weather == "snow":
        hills = (236, 242, 250) if not light.night else (130, 146, 190)
    elif light.weather == "fog":
        hills = mix(light.day.mist, WHITE, 0.2)
    far = [(x0, y1), (x0, y1 - 34), (x0 + 30, y1 - 42), (x0 + 76, y1 - 30), (x0 + 120, y1)]
    near = [(x0 + 50, y1), (x0 + 90, y1 - 24), (x1 - 20, y1 - 32), (x1, y1 - 28), (x1, y1)]
    draw.polygon(far, fill=hills)
    draw.polygon(near, fill=mix(hills, (40, 60, 60), 0.12))
    if light.weather == "clear":
        px, py = x0 + 30, y0 + 32
        draw.ellipse((px - 18, py - 18, px + 18, py + 18), fill=light.day.orb)
        if light.night:
            draw.ellipse((px - 8, py - 22, px + 22, py + 8), fill=light.sky_top)
            for _ in range(9):
                sx, sy = rng.uniform(x0 + 50, x1 - 6), rng.uniform(y0, y1 - 50)
                draw.ellipse((sx - 2, sy - 2, sx + 2, sy + 2), fill=(240, 240, 220))
    if light.weather == "rain":
        for _ in range(26):
            x, y = rng.uniform(x0 + 16, x1), rng.uniform(y0, y1 - 30)
            draw.line((x, y, x - 10, y + 30), fill=(206, 228, 248), width=4)
    elif light.weather == "snow":
        for _ in range(26):
            x, y = rng.uniform(x0 + 6, x1 - 6), rng.uniform(y0 + 6, y1 - 10)
            draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=WHITE)
        draw.rounded_rectangle((x0, y1 - 20, x1, y1 + 6), radius=14, fill=WHITE)
    elif light.weather == "fog":
        tone = mix(light.day.mist, WHITE, 0.35)
        for row in range(5):
            y = y0 + 14 + row * 36
            draw.rounded_rectangle(
                (x0 + 8 + 24 * (row % 2), y, x1 - 36 + 24 * (row % 2), y + 14), radius=7, fill=tone
            )
    if omen is not None:
        draw_omen(stage, omen, 81, 58, 0.86)
    frame = light.shade((250, 246, 236))
    edge = light.shade((120, 90, 70))
    draw.rectangle((x0 - 10, y0 - 10, x1 + 10, y1 + 10), outline=edge, width=4)
    draw.rectangle((x0 - 7, y0 - 7, x1 + 7, y1 + 7), outline=frame, width=9)
    middle = (x0 + x1) / 2 - 20
    draw.line((middle, y0, middle, y1), fill=frame, width=6)
    draw.rectangle((x0 - 16, y1 + 6, x1 + 16, y1 + 18), fill=frame)
    if light.weather == "snow":
        draw.rounded_rectangle((x0 - 12, y1 - 4, x1 + 12, y1 + 8), radius=6, fill=WHITE)


def draw_entry(stage: Stage) -> None:
    """What the weather left indoors, on the floor at the left: umbrella, snow, a pale veil."""
    light = stage.light
    draw = stage.draw
    x, y = stage.frame(-96, 222)
    if light.weather == "rain":
        draw.ellipse((x - 46, y - 6, x + 46, y + 16), fill=light.shade((120, 168, 214)))
        draw.pieslice((x - 40, y - 56, x + 40, y + 24), 180, 360, fill=light.touch((50, 90, 200)))
        draw.line((x, y - 60, x, y + 4), fill=(40, 36, 40), width=5)
    elif light.weather == "snow":
        for dx, size in ((-28, 18), (4, 24), (32, 15)):
            draw.ellipse((x + dx - size, y - size * 0.6, x + dx + size, y + size * 0.6), fill=WHITE)
    elif light.weather == "fog":
        tone = mix(light.day.mist, WHITE, 0.1)
        for dx, dy in ((-40, -10), (0, 2), (30, 14)):
            draw.rounded_rectangle(
                (x + dx - 60, y + dy - 5, x + dx + 50, y + dy + 5), radius=5, fill=tone
            )
