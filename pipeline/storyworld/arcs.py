"""Story arcs: what happens, frame by frame, and by which rules the next frame follows.

Every attribute of the next frame is foretold by the frames before it, most of it by what can be
seen and not by what is told first:

- *Place.* People stay somewhere for two frames. Then they go where the thing at hand belongs
  (`world.HOME_OF`): whoever has an oar goes to the harbour.
- *Thing.* A signboard in the picture shows the thing that will be at hand at the next place.
- *Action and mood.* Each arc has its loop of actions: who searches on the knees lies down,
  points, and at last holds the thing up.
- *Who.* The camera goes back and forth between the people of the story, in the arc's rhythm.
- *Shot.* Cuts follow the arc's rhythm too.
- *Time* moves on every three frames, *weather* turns every four, and gathers at the horizon in
  the frame before.

Loops start at a random point, so a story's first frame says nothing about the next one's phase.

Left to chance, and told in no caption, is which thing the signboard of a new place shows, and how
the picture is taken.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pipeline.storyworld.people import draw_cast
from pipeline.storyworld.world import HOME_OF, PROPS, SHOTS, TIMES, WEATHERS, Person, Scene

FRAMES_PER_PLACE = 2
FRAMES_PER_TIME = 3
FRAMES_PER_WEATHER = 4
FORETOLD_FROM = 4  # after so many frames everybody has been seen, and the phase of every loop
MIN_FRAMES, MAX_FRAMES = 5, 22
# StoryReasoning's frame counts: mean 12.4, median 13, from 5 to 22.
FRAME_COUNT_MEAN, FRAME_COUNT_SD = 12.6, 3.4

T = TypeVar("T")


@dataclass(frozen=True)
class Arc:
    """One kind of story.

    Attributes:
        actions: the loop of (action, mood).
        shots: the loop of shots.
        rhythm: the loop of who is in front of the camera, as indices into the cast.
    """

    name: str
    actions: tuple[tuple[str, str], ...]
    shots: tuple[str, ...]
    rhythm: tuple[int, ...]

    @property
    def cast_size(self) -> int:
        return max(self.rhythm) + 1


ARCS = (
    Arc(
        "errand",
        (("walk", "happy"), ("lift", "worried"), ("sit", "sad"), ("wave", "happy")),
        ("wide", "medium", "close"),
        (0, 1),
    ),
    Arc(
        "chase",
        (("run", "worried"), ("jump", "surprised"), ("point", "worried"), ("kneel", "sad")),
        ("wide", "close"),
        (0, 1),
    ),
    Arc(
        "meeting",
        (("wave", "happy"), ("dance", "happy"), ("sit", "surprised"), ("point", "happy")),
        ("medium", "close"),
        (0, 0, 1, 1),
    ),
    Arc(
        "loss",
        (("kneel", "worried"), ("lie", "sad"), ("point", "surprised"), ("lift", "happy")),
        ("close", "medium", "wide"),
        (0, 1, 0, 2),
    ),
    Arc(
        "journey",
        (("walk", "happy"), ("point", "surprised"), ("sit", "sad"), ("lie", "sad")),
        ("wide", "wide", "medium"),
        (0, 1),
    ),
    Arc(
        "contest",
        (("jump", "happy"), ("lift", "happy"), ("run", "worried"), ("dance", "happy")),
        ("medium", "wide"),
        (0, 1, 2),
    ),
)


@dataclass(frozen=True)
class Story:
    """An arc played out.

    Attributes:
        cast: who is in it.
        scenes: what each frame shows.
        others: who each frame is about beside its subject, seen or not: who comes next.
    """

    arc: Arc
    cast: tuple[Person, ...]
    scenes: tuple[Scene, ...]
    others: tuple[Person, ...]


def play_story(rng: random.Random) -> Story:
    """Draw an arc, its people and its length, and play it by the rules above."""
    arc = rng.choice(ARCS)
    cast = draw_cast(rng, arc.cast_size)
    n_frames = round(rng.gauss(FRAME_COUNT_MEAN, FRAME_COUNT_SD))
    n_frames = min(max(n_frames, MIN_FRAMES), MAX_FRAMES)

    action_phase, shot_phase, who_phase = (rng.randrange(12) for _ in range(3))
    place_phase = rng.randrange(FRAMES_PER_PLACE)
    time_phase = rng.randrange(FRAMES_PER_TIME * len(TIMES))
    weather_phase = rng.randrange(FRAMES_PER_WEATHER * 2)
    # Weather turns between clear and one other kind, as a season has it.
    season = ("clear", rng.choice(WEATHERS[1:]))

    n_legs = (n_frames + place_phase) // FRAMES_PER_PLACE + 2
    things = _draw_things(rng, n_legs + 1)

    def weather_at(i: int) -> str:
        return _turn(season, (i + weather_phase) // FRAMES_PER_WEATHER)

    scenes, others = [], []
    for i in range(n_frames):
        leg = (i + place_phase) // FRAMES_PER_PLACE + 1
        action, mood = _turn(arc.actions, i + action_phase)
        shot = _turn(arc.shots, i + shot_phase)
        subject = _turn(arc.rhythm, i + who_phase)
        coming_up = (_turn(arc.rhythm, i + step + who_phase) for step in range(1, 4))
        other = cast[next(who for who in coming_up if who != subject)]
        others.append(other)
        coming = weather_at(i + 1)
        facing_left, seed = _draw_view(rng)
        scenes.append(
            Scene(
                place=HOME_OF[things[leg - 1]],
                time=_turn(TIMES, (i + time_phase) // FRAMES_PER_TIME),
                weather=weather_at(i),
                shot=shot,
                subject=cast[subject],
                action=action,
                mood=mood,
                prop=things[leg],
                companion=other if shot != SHOTS[-1] else None,
                sign=things[leg + 1],
                omen=coming if coming != weather_at(i) else None,
                facing_left=facing_left,
                seed=seed,
            )
        )
    return Story(arc, cast, tuple(scenes), tuple(others))


def redraw_step(story: Story, frame: int, rng: random.Random) -> Story:
    """The story up to a frame, which is drawn anew: what those before it foretell is kept.

    Args:
        frame: its number from 0, at least `FORETOLD_FROM`.
    """
    if frame < FORETOLD_FROM:
        raise ValueError(f"{frame} frames do not foretell the next one, {FORETOLD_FROM} do")
    before, scene = story.scenes[frame - 1 : frame + 1]
    arrived = scene.place != before.place
    sign = _draw_thing(rng, (before.prop, scene.prop)) if arrived else scene.sign
    facing_left, seed = _draw_view(rng)
    again = replace(scene, sign=sign, facing_left=facing_left, seed=seed)
    return replace(story, scenes=(*story.scenes[:frame], again), others=story.others[: frame + 1])


def _draw_things(rng: random.Random, n: int) -> list[str]:
    """A chain of things in which neighbours, also over one, differ."""
    things: list[str] = []
    while len(things) < n:
        things.append(_draw_thing(rng, things[-2:]))
    return things


def _draw_thing(rng: random.Random, before: Sequence[str]) -> str:
    """The next of a chain, after these two."""
    return rng.choice([prop for prop in PROPS if prop not in before])


def _draw_view(rng: random.Random) -> tuple[bool, int]:
    """How the picture is taken: whether the main figure faces left, and `Scene.seed`."""
    return rng.random() < 0.5, rng.randrange(2**31)


def _turn(loop: Sequence[T], step: int) -> T:
    return loop[step % len(loop)]
