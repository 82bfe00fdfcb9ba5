"""What there is in the storyworld: its places, things, people and the state of one frame.

The vocabularies are closed tuples, so that a frame's attributes are class labels too: the
backbones are measured by linear probes over them. Arcs (`arcs.py`) decide what happens,
pictures (`pictures.py`) draw a `Scene` and prose (`prose.py`) tells it.
"""

from __future__ import annotations

from dataclasses import dataclass

PLACES = (
    "market",
    "harbour",
    "forest",
    "beach",
    "garden",
    "bridge",
    "station",
    "farm",
    "mountain",
    "library",
    "kitchen",
    "castle",
)
INDOORS = frozenset({"library", "kitchen"})
TIMES = ("dawn", "noon", "dusk", "night")
WEATHERS = ("clear", "rain", "snow", "fog")
SHOTS = ("wide", "medium", "close")
ACTIONS = ("walk", "run", "sit", "kneel", "lie", "wave", "point", "jump", "lift", "dance")
MOODS = ("happy", "sad", "worried", "surprised")
PROPS = (
    "basket",
    "oar",
    "axe",
    "bucket",
    "watering can",
    "fishing rod",
    "suitcase",
    "pitchfork",
    "rope",
    "book",
    "kettle",
    "flag",
)
# The rule that drives every arc: a thing belongs to a place, and whoever has the thing at hand
# goes to that place next.
HOME_OF = dict(zip(PROPS, PLACES, strict=True))

COLOURS = ("red", "blue", "green", "yellow", "white", "black", "purple", "orange")
HAIR_COLOURS = ("black", "brown", "blond", "red", "grey")
HAIR_STYLES = ("short", "long", "bun", "curly")
GARMENTS = ("coat", "shirt", "dress")
SKINS = ("light", "tan", "dark")


@dataclass(frozen=True)
class Person:
    """A character: looks hold for the whole story."""

    name: str
    gender: str  # "female" | "male"
    role: str  # e.g. "baker", told in the character table
    age: str  # "young" | "grown" | "old"
    hair_colour: str
    hair_style: str
    skin: str
    garment: str
    colour: str  # of the garment


@dataclass(frozen=True)
class Scene:
    """All that one frame shows."""

    place: str
    time: str
    weather: str
    shot: str
    subject: Person  # the main figure
    action: str
    mood: str
    prop: str  # at the subject's hand
    companion: Person | None  # smaller, behind; left out of close shots
    sign: str | None  # a PROPS item painted on a signboard: what will be at hand next; told nowhere
    omen: str | None  # a WEATHERS item gathering at the horizon: the next weather; told nowhere
    facing_left: bool
    seed: int  # of the small random variations of the drawing
