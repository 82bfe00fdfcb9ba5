"""The rules by which the next frame follows from the frames before it hold in every story."""

import random
import statistics
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storyworld.arcs import (
    ARCS,
    FORETOLD_FROM,
    MAX_FRAMES,
    MIN_FRAMES,
    Story,
    play_story,
    redraw_step,
)
from pipeline.storyworld.world import HOME_OF, PROPS, TIMES

stories = st.integers(0, 10**6).map(lambda seed: play_story(random.Random(seed)))


@given(stories)
def test_people_stay_for_two_frames_and_then_go_where_the_thing_belongs(story: Story) -> None:
    stays = 1
    for before, after in pairwise(story.scenes):
        if after.place == before.place:
            stays += 1
            assert stays <= 2
        else:
            assert after.place == HOME_OF[before.prop]
            assert after.prop == before.sign
            stays = 1


@given(stories)
def test_action_mood_shot_and_subject_follow_the_loops_of_the_arc(story: Story) -> None:
    def follows(values: list, loop: tuple) -> bool:
        n = len(loop)
        return any(
            all(value == loop[(i + phase) % n] for i, value in enumerate(values))
            for phase in range(n)
        )

    assert follows([(s.action, s.mood) for s in story.scenes], story.arc.actions)
    assert follows([s.shot for s in story.scenes], story.arc.shots)
    assert follows([story.cast.index(s.subject) for s in story.scenes], story.arc.rhythm)


@given(stories)
def test_time_moves_on_every_three_frames_and_weather_gathers_before_it_turns(story: Story) -> None:
    runs: list[list[str]] = []
    for before, after in pairwise(story.scenes):
        moved = (TIMES.index(after.time) - TIMES.index(before.time)) % len(TIMES)
        assert moved in (0, 1)
        assert before.omen == (after.weather if after.weather != before.weather else None)
    for scene in story.scenes:
        if not runs or runs[-1][0] != scene.time:
            runs.append([])
        runs[-1].append(scene.time)
    assert all(len(run) == 3 for run in runs[1:-1])


@given(stories)
def test_looks_tell_the_people_of_a_story_apart(story: Story) -> None:
    assert len({person.name for person in story.cast}) == story.arc.cast_size
    assert len({person.colour for person in story.cast}) == story.arc.cast_size
    for scene, other in zip(story.scenes, story.others, strict=True):
        assert other != scene.subject
        assert scene.companion in (None, other)


def test_frame_counts_are_those_of_the_real_dataset() -> None:
    counts = [len(play_story(random.Random(seed)).scenes) for seed in range(2000)]
    assert min(counts) >= MIN_FRAMES and max(counts) <= MAX_FRAMES
    assert statistics.mean(counts) == pytest.approx(12.4, abs=0.4)
    assert statistics.median(counts) == 13


def test_copying_the_last_frame_is_a_poor_answer() -> None:
    """In every arc, the frame after four differs from the fourth in most of what can be seen."""
    kept: dict[str, list[float]] = {arc.name: [] for arc in ARCS}
    for seed in range(600):
        story = play_story(random.Random(seed))
        if len(story.scenes) > 4:
            last, target = story.scenes[3:5]
            seen = ("place", "time", "weather", "shot", "subject", "action", "prop")
            same = [getattr(last, name) == getattr(target, name) for name in seen]
            kept[story.arc.name].append(sum(same) / len(same))
    assert all(statistics.mean(shares) < 0.5 for shares in kept.values())


def test_a_redrawn_step_keeps_what_is_foretold_and_the_frames_before() -> None:
    story = play_story(random.Random(7))
    for frame in range(FORETOLD_FROM, len(story.scenes)):
        before, scene = story.scenes[frame - 1 : frame + 1]
        draws = [redraw_step(story, frame, random.Random(seed)) for seed in range(300)]
        assert draws == [redraw_step(story, frame, random.Random(seed)) for seed in range(300)]
        for again in draws:
            assert again.scenes[:-1] == story.scenes[:frame]
            assert again.others == story.others[: frame + 1]
            shown = again.scenes[-1]
            free = {"sign": scene.sign, "facing_left": scene.facing_left, "seed": scene.seed}
            assert replace(shown, **free) == scene
        signs = {again.scenes[-1].sign for again in draws}
        arrived = scene.place != before.place
        assert signs == ({*PROPS} - {before.prop, scene.prop} if arrived else {scene.sign})
        assert len({again.scenes[-1].seed for again in draws}) == len(draws)
        assert {again.scenes[-1].facing_left for again in draws} == {True, False}


def test_what_a_redrawn_step_keeps_follows_from_the_frames_before() -> None:
    """Where these are alike, so is what follows; where people go, with what, is tested above."""
    after: dict[tuple, object] = {}
    for seed in range(2000):
        story = play_story(random.Random(seed))
        if len(story.scenes) > FORETOLD_FROM:
            for name, (before, then) in _what_follows(story).items():
                assert after.setdefault((name, before), then) == then
    assert len(after) < 300  # so most of them were seen many times


def _what_follows(story: Story) -> dict[str, tuple[tuple, object]]:
    """Attribute -> what shows it in the frames before, and what it then is."""
    seen, then = story.scenes[:FORETOLD_FROM], story.scenes[FORETOLD_FROM]
    actions = tuple(scene.action for scene in seen)  # they tell the arc, too
    met = list(dict.fromkeys(scene.subject for scene in seen))
    turns = actions, tuple(met.index(scene.subject) for scene in seen)
    sky = tuple((scene.weather, scene.omen) for scene in seen)
    moves = tuple(before.place != after.place for before, after in pairwise(seen))
    return {
        "action and mood": (actions, (then.action, then.mood)),
        "shot": ((actions, *(scene.shot for scene in seen)), (then.shot, then.companion is None)),
        "subject": (turns, met.index(then.subject)),
        "who comes next": (turns, met.index(story.others[FORETOLD_FROM])),
        "time": (tuple(scene.time for scene in seen), then.time),
        "weather": (sky, (then.weather, then.omen)),
        "going on": (moves, then.place != seen[-1].place),
    }
