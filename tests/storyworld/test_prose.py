"""Captions say what their picture shows, in the order and length that the models need."""

import random
import re
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.prepare.grounding import frame_captions
from pipeline.storyworld import lexicon
from pipeline.storyworld.arcs import play_story, redraw_step
from pipeline.storyworld.prose import OPENING_WORDS, tell_story, told_story
from pipeline.storyworld.world import (
    ACTIONS,
    INDOORS,
    MOODS,
    PLACES,
    PROPS,
    SHOTS,
    TIMES,
    WEATHERS,
    Scene,
)

names = st.integers(0, 10**6).map(str)


def captions_of(name: str) -> tuple[list[Scene], list[str]]:
    story, text = told_story(name)
    return list(story.scenes), frame_captions(text, len(story.scenes))


@given(names)
def test_an_opening_fills_the_prompt_and_shows_nothing(name: str) -> None:
    scenes, captions = captions_of(name)
    for scene, caption in zip(scenes, captions, strict=True):
        opening = caption[: caption.index(".")]
        assert len(opening.split()) in OPENING_WORDS
        told = re.findall(r"\w+", opening.lower())
        assert not {scene.place, scene.time, scene.subject.colour, scene.subject.garment} & {*told}
        assert not {*scene.prop.split()} <= {*told}


@given(names)
def test_what_is_left_to_chance_is_told_in_no_caption(name: str) -> None:
    story, _ = told_story(name)
    again = redraw_step(story, len(story.scenes) - 1, random.Random(name))
    assert again.scenes[-1] != story.scenes[-1]
    assert tell_story(again, random.Random(name)) == tell_story(story, random.Random(name))


@given(names)
def test_a_caption_tells_everything_that_it_should_about_its_picture(name: str) -> None:
    scenes, captions = captions_of(name)
    for scene, caption in zip(scenes, captions, strict=True):
        sight = caption[caption.index(".") : caption.index(".", caption.index(".") + 1)].lower()
        weathers = lexicon.WEATHERS_OUTSIDE if scene.place in INDOORS else lexicon.WEATHERS_IN
        for phrases in (
            lexicon.PLACES_AT[scene.place],
            lexicon.TIMES_AT[scene.time],
            weathers[scene.weather],
            lexicon.SHOTS_SEEN[scene.shot],
            lexicon.ACTION_VERBS[scene.action],
            lexicon.THINGS[scene.prop],
            (f"{scene.subject.colour} {scene.subject.garment}",),
            (f"{scene.subject.hair_colour} hair",),
        ):
            assert any(phrase in sight for phrase in phrases), (phrases, sight)


@given(names)
def test_captions_are_clean_sentences(name: str) -> None:
    for caption in captions_of(name)[1]:
        assert not re.search(r"[<>{}]|\s\s|\s[,.;]|,,|\ba [aeio]", caption), caption
        assert caption.endswith(".")
        assert all(s[0].isupper() for s in re.split(r"(?<=\.) ", caption)), caption


def test_lengths_are_those_of_the_real_dataset() -> None:
    words = [len(c.split()) for i in range(300) for c in captions_of(str(i))[1]]
    assert statistics.mean(words) == pytest.approx(80, abs=4)
    assert min(words) >= 40 and max(words) <= 150


def test_every_word_of_the_world_can_be_told() -> None:
    assert set(lexicon.PLACES_AT) == set(lexicon.PLACE_TAILS) == set(PLACES)
    assert set(lexicon.TIMES_AT) == set(TIMES)
    assert set(lexicon.WEATHERS_IN) == set(lexicon.WEATHERS_OUTSIDE) == set(WEATHERS)
    assert set(lexicon.SHOTS_SEEN) == set(SHOTS)
    assert set(lexicon.ACTION_VERBS) == set(ACTIONS)
    assert set(lexicon.THINGS) == set(PROPS)
    assert set(lexicon.MOOD_TAILS) == set(MOODS)
    assert all(play_story(random.Random(i)).arc.name in lexicon.EVENTS for i in range(50))


def test_a_closing_tag_is_missing_now_and_then_and_no_word_is_lost() -> None:
    frames = closed = 0
    for i in range(100):
        story, text = told_story(str(i))
        frames += len(story.scenes)
        closed += text.count("</gdi>")
        bare = re.sub(r"<[^>]*>", "", text).split()
        assert " ".join(frame_captions(text, len(story.scenes))).split() == bare
    assert 0.9 < closed / frames < 0.99
