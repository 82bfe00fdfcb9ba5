"""Light of a frame: how the time of day and the weather colour everything that is drawn.

Backdrops are not tinted after drawing (a full-frame blend costs more than all the drawing);
each colour goes through `Light.shade` before it is used. People and things get `Light.touch`,
which is much weaker, so that the colours of clothes and props stay readable at night.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

Colour = tuple[int, int, int]


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour `share` (0..1) of the way from `first` to `second`."""
    keep = 1.0 - share
    return (
        int(first[0] * keep + second[0] * share),
        int(first[1] * keep + second[1] * share),
        int(first[2] * keep + second[2] * share),
    )


def scaled(colour: Colour, factors: tuple[float, float, float]) -> Colour:
    """The colour with each channel multiplied and cut at 255."""
    return (
        min(255, int(colour[0] * factors[0])),
        min(255, int(colour[1] * factors[1])),
        min(255, int(colour[2] * factors[2])),
    )


@dataclass(frozen=True)
class Daytime:
    """What one time of day does to colours."""

    sky_top: Colour
    sky_low: Colour
    factors: tuple[float, float, float]
    tint: Colour
    tint_share: float
    mist: Colour  # what fog looks like at this time
    grey: Colour  # what rain clouds look like at this time
    touch: tuple[float, float, float]
    halo: Colour  # the pale line around people and things
    orb: Colour  # sun or moon
    snow: Colour  # lying snow


DAYTIMES = {
    "dawn": Daytime(
        (186, 172, 220),
        (255, 208, 200),
        (1.0, 0.87, 0.90),
        (255, 176, 190),
        0.26,
        (240, 214, 220),
        (158, 138, 156),
        (1.0, 0.97, 0.97),
        (255, 240, 236),
        (255, 232, 190),
        (252, 226, 232),
    ),
    "noon": Daytime(
        (64, 152, 232),
        (190, 228, 250),
        (1.02, 1.02, 1.0),
        (255, 255, 240),
        0.04,
        (222, 228, 232),
        (126, 146, 164),
        (1.0, 1.0, 1.0),
        (255, 255, 250),
        (255, 236, 110),
        (240, 246, 252),
    ),
    "dusk": Daytime(
        (134, 62, 104),
        (255, 150, 58),
        (0.98, 0.70, 0.50),
        (236, 104, 36),
        0.24,
        (226, 164, 122),
        (128, 84, 76),
        (1.0, 0.95, 0.90),
        (255, 226, 190),
        (255, 110, 50),
        (255, 212, 180),
    ),
    "night": Daytime(
        (12, 18, 54),
        (36, 52, 108),
        (0.43, 0.49, 0.68),
        (18, 28, 90),
        0.25,
        (74, 86, 122),
        (34, 40, 62),
        (0.90, 0.92, 1.0),
        (186, 200, 236),
        (250, 246, 214),
        (122, 138, 186),
    ),
}

INK: Colour = (38, 30, 42)
WHITE: Colour = (255, 255, 255)


class Light:
    """The palette of one time of day and weather; indoors the weather reaches less far."""

    def __init__(self, time: str, weather: str, indoors: bool) -> None:
        self.time = time
        self.weather = weather
        self.indoors = indoors
        self.day = DAYTIMES[time]
        self.night = time == "night"
        self.halo = self.day.halo
        self._shades: dict[Colour, Colour] = {}
        sky_share = {"clear": 0.0, "rain": 0.62, "snow": 0.42, "fog": 0.72}[weather]
        self.veil_share = 0.44 if self.night else 0.58
        veil = self.day.grey if weather == "rain" else self.day.mist
        self.sky_top = mix(self.day.sky_top, veil, sky_share)
        self.sky_low = mix(self.day.sky_low, veil, sky_share)
        self.snow = self.day.snow

    def shade(self, colour: Colour) -> Colour:
        """The colour of a piece of the backdrop in this light."""
        found = self._shades.get(colour)
        if found is None:
            found = mix(scaled(colour, self.day.factors), self.day.tint, self.day.tint_share)
            if self.night and self.indoors:  # there is a lamp
                found = scaled(found, (1.36, 1.26, 1.12))
            strength = 0.4 if self.indoors else 1.0
            if self.weather == "rain":
                found = mix(scaled(found, (0.84, 0.87, 0.92)), self.day.grey, 0.34 * strength)
            elif self.weather == "snow":
                found = mix(found, self.day.mist, 0.16 * strength)
            elif self.weather == "fog":
                found = mix(found, self.day.mist, self.veil_share * strength)
            self._shades[colour] = found
        return found

    def ground(self, colour: Colour) -> Colour:
        """The colour of ground, roofs and leaves, which snow covers."""
        shaded = self.shade(colour)
        return mix(shaded, self.snow, 0.84) if self.snowy else shaded

    def dusted(self, colour: Colour) -> Colour:
        """The colour of things that snow covers in part (leaves, hedges)."""
        shaded = self.shade(colour)
        return mix(shaded, self.snow, 0.45) if self.snowy else shaded

    def touch(self, colour: Colour) -> Colour:
        """The colour of people and things: only lightly coloured by the light."""
        return scaled(colour, self.day.touch)

    @property
    def snowy(self) -> bool:
        """Whether snow lies on the ground here."""
        return self.weather == "snow" and not self.indoors

    @property
    def glow(self) -> Colour:
        """The colour of a window or lamp: lit when it is dark."""
        if self.night:
            return (255, 214, 110)
        return (255, 196, 110) if self.time == "dusk" else self.shade((196, 222, 236))


@lru_cache(maxsize=64)
def light_of(time: str, weather: str, indoors: bool) -> Light:
    """The shared palette of a time, a weather and indoors or out (32 of them in all)."""
    return Light(time, weather, indoors)
