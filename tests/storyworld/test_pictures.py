"""Pictures: same scene same bytes, and every attribute shows inside the central square."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.storyworld import world
from pipeline.storyworld.drawing.pictures import draw_scene, encode_jpeg, take_picture
from pipeline.storyworld.world import Person, Scene

ANNA = Person("Anna", "female", "baker", "grown", "brown", "long", "light", "coat", "red")
BEN = Person("Ben", "male", "sailor", "old", "grey", "short", "dark", "shirt", "blue")
SCENE = Scene(
    place="farm",
    time="noon",
    weather="clear",
    shot="wide",
    subject=ANNA,
    action="walk",
    mood="happy",
    prop="bucket",
    companion=BEN,
    sign="axe",
    omen="rain",
    facing_left=False,
    seed=5,
)

people = st.builds(
    Person,
    name=st.just("Anna"),
    gender=st.sampled_from(("female", "male")),
    role=st.just("baker"),
    age=st.sampled_from(("young", "grown", "old")),
    hair_colour=st.sampled_from(world.HAIR_COLOURS),
    hair_style=st.sampled_from(world.HAIR_STYLES),
    skin=st.sampled_from(world.SKINS),
    garment=st.sampled_from(world.GARMENTS),
    colour=st.sampled_from(world.COLOURS),
)
scenes = st.builds(
    Scene,
    place=st.sampled_from(world.PLACES),
    time=st.sampled_from(world.TIMES),
    weather=st.sampled_from(world.WEATHERS),
    shot=st.sampled_from(world.SHOTS),
    subject=people,
    action=st.sampled_from(world.ACTIONS),
    mood=st.sampled_from(world.MOODS),
    prop=st.sampled_from(world.PROPS),
    companion=st.none() | people,
    sign=st.none() | st.sampled_from(world.PROPS),
    omen=st.none() | st.sampled_from(world.WEATHERS),
    facing_left=st.booleans(),
    seed=st.integers(0, 2**31),
)


def square(scene: Scene, size: int = 112) -> np.ndarray:
    """The central square as CLIP sees it, float32 `[size, size, 3]`."""
    image = draw_scene(scene, 420)
    left = (image.width - image.height) // 2
    crop = image.crop((left, 0, left + image.height, image.height))
    return np.asarray(crop.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)


def visible(first: np.ndarray, second: np.ndarray) -> int:
    """How many of the square's pixels differ clearly."""
    return int((np.abs(first - second).max(axis=2) > 40).sum())


@settings(max_examples=40)
@given(scene=scenes, width=st.integers(393, 581))
def test_every_scene_draws_at_its_size_with_the_same_bytes(scene: Scene, width: int) -> None:
    first, second = draw_scene(scene, width), draw_scene(scene, width)
    assert first.mode == "RGB"
    assert first.size == (width, 240)
    assert first.tobytes() == second.tobytes()
    data = encode_jpeg(first)
    assert data == encode_jpeg(second)
    assert Image.open(io.BytesIO(data)).size == (width, 240)


@pytest.mark.parametrize(
    ("field", "values", "pixels"),
    [
        ("place", world.PLACES, 1500),
        ("time", world.TIMES, 1500),
        ("weather", world.WEATHERS, 300),
        ("shot", world.SHOTS, 1500),
        ("action", world.ACTIONS, 250),
        ("mood", world.MOODS, 4),
        ("prop", world.PROPS, 120),
        ("sign", (None, *world.PROPS), 50),
        ("omen", (None, *world.WEATHERS), 100),
        ("facing_left", (False, True), 300),
        ("companion", (None, BEN, ANNA), 60),
    ],
)
@pytest.mark.parametrize("time", ["noon", "night"])
def test_every_attribute_shows_in_the_square(
    field: str, values: tuple[Any, ...], pixels: int, time: str
) -> None:
    base = replace(SCENE, time=time)
    squares = [square(replace(base, **{field: value})) for value in values]
    for i, first in enumerate(squares):
        for j in range(i):
            count = visible(first, squares[j])
            assert count >= pixels, f"{field}: {values[j]} and {values[i]} look alike ({count})"


@pytest.mark.parametrize("place", sorted(world.INDOORS))
@pytest.mark.parametrize(("field", "pixels"), [("weather", 150), ("omen", 80), ("time", 1500)])
def test_weather_and_time_reach_indoors(place: str, field: str, pixels: int) -> None:
    values: tuple[Any, ...] = world.TIMES if field == "time" else world.WEATHERS
    squares = [square(replace(SCENE, place=place, **{field: value})) for value in values]
    for i, first in enumerate(squares):
        assert all(visible(first, squares[j]) >= pixels for j in range(i))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("colour", world.COLOURS),
        ("garment", world.GARMENTS),
        ("hair_colour", world.HAIR_COLOURS),
        ("hair_style", world.HAIR_STYLES),
        ("skin", world.SKINS),
    ],
)
def test_every_look_shows(field: str, values: tuple[Any, ...]) -> None:
    looks = [replace(ANNA, **{field: value}) for value in values]
    squares = [square(replace(SCENE, subject=look)) for look in looks]
    for i, first in enumerate(squares):
        assert all(visible(first, squares[j]) >= 15 for j in range(i))


@pytest.mark.parametrize("shot", world.SHOTS)
@pytest.mark.parametrize("facing_left", [False, True])
def test_signboard_stays_and_is_never_covered(shot: str, facing_left: bool) -> None:
    scene = replace(SCENE, shot=shot, facing_left=facing_left)
    for action in world.ACTIONS:
        first = square(replace(scene, action=action, sign="kettle"))
        second = square(replace(scene, action=action, sign="book"))
        changed = np.argwhere(np.abs(first - second).max(axis=2) > 40)
        assert len(changed) >= 70
        assert changed[:, 0].max() <= 34
        assert changed[:, 1].max() <= 36


def test_seeds_vary_the_picture() -> None:
    seen = {draw_scene(replace(SCENE, seed=seed), 393).tobytes() for seed in range(12)}
    assert len(seen) == 12


def test_a_picture_higher_than_wide_is_refused() -> None:
    with pytest.raises(ValueError, match="at least as wide"):
        draw_scene(SCENE, 200, 240)


def test_other_heights_keep_the_layout() -> None:
    assert draw_scene(SCENE, 800, 480).size == (800, 480)


@pytest.mark.parametrize("height", [240, 480])
@pytest.mark.parametrize("action", world.ACTIONS)
def test_boxes_are_where_people_and_the_thing_are_drawn(action: str, height: int) -> None:
    """A box holds all that changes with a person's looks, and is not much larger: only trousers
    and shoes are the same on everyone."""
    scene = replace(SCENE, action=action)
    looks = {"skin": "tan", "colour": "green", "hair_colour": "blond"}
    for name, person in (("subject", ANNA), ("companion", BEN)):
        first = take_picture(scene, 2 * height, height)
        other = replace(scene, **{name: replace(person, **looks)})
        second = take_picture(other, 2 * height, height)
        difference = np.abs(np.asarray(first.image, int) - np.asarray(second.image, int))
        rows, columns = np.nonzero(difference.max(axis=2) > 8)
        left, top, right, bottom = getattr(first, name)
        assert left - 3 <= columns.min() and columns.max() <= right + 3
        assert top - 3 <= rows.min() and rows.max() <= bottom + 3
        assert np.ptp(columns) > (right - left) / 2 and np.ptp(rows) > (bottom - top) / 2


def test_whoever_a_close_shot_leaves_out_has_no_box() -> None:
    assert take_picture(replace(SCENE, shot="close"), 420).companion is None
    assert take_picture(replace(SCENE, companion=None), 420).companion is None


@given(scene=scenes)
@settings(max_examples=30)
def test_every_box_lies_in_the_picture(scene: Scene) -> None:
    picture = take_picture(scene, 420)
    for box in (picture.subject, picture.companion, picture.thing):
        if box is not None:
            left, top, right, bottom = box
            assert 0 <= left < right <= 420 and 0 <= top < bottom <= 240
