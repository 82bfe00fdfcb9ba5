"""The twelve places: which module draws which."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.storyworld.drawing import places_built, places_indoors, places_land, places_water
from pipeline.storyworld.drawing.stage import Stage
from pipeline.storyworld.drawing.weather import draw_sky
from pipeline.storyworld.world import INDOORS

BACKDROPS: dict[str, Callable[[Stage], None]] = {
    "market": places_built.market,
    "harbour": places_water.harbour,
    "forest": places_land.forest,
    "beach": places_water.beach,
    "garden": places_land.garden,
    "bridge": places_water.bridge,
    "station": places_built.station,
    "farm": places_land.farm,
    "mountain": places_land.mountain,
    "library": places_indoors.library,
    "kitchen": places_indoors.kitchen,
    "castle": places_built.castle,
}


def draw_backdrop(stage: Stage, place: str) -> None:
    """Draw the sky (outdoors) and a place; KeyError for an unknown place."""
    if place not in INDOORS:
        draw_sky(stage)
    BACKDROPS[place](stage)
