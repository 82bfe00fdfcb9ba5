"""Tells a story in StoryReasoning's manner: prose with grounding tags, about 80 words a frame.

Each frame's text opens with 25 to 28 words on the event and the names, goes on with what can be
seen (action, place, time, weather, thing, looks, shot; inside the first 77 tokens, which is all
that CLIP reads), and closes with up to four sentences of mood and atmosphere.
"""

from __future__ import annotations

import random

from pipeline.storyworld import lexicon
from pipeline.storyworld.arcs import Story, play_story
from pipeline.storyworld.world import INDOORS, PLACES, PROPS, Person, Scene

# The prompt of the captioner holds a caption's first 25 words: an opening fills them.
OPENING_WORDS = range(25, 29)
# How often the closing tag of a frame is missing, as it is in the real data now and then.
MISSING_CLOSE = 0.04


def told_story(name: str) -> tuple[Story, str]:
    """The story of that name and its text: all of it follows from the name."""
    rng = random.Random(name)
    story = play_story(rng)
    return story, tell_story(story, rng)


def tell_story(story: Story, rng: random.Random) -> str:
    """The story as one string: `<gdi image1> … </gdi>`, a paragraph per frame."""
    ids = {person.name: f"char{i + 1}" for i, person in enumerate(story.cast)}
    paragraphs = []
    for i, (scene, other) in enumerate(zip(story.scenes, story.others, strict=True)):
        text = " ".join(
            [
                _opening(story.arc.name, scene.subject, other, ids, rng),
                _sight(scene, ids, rng),
                *_tails(scene, ids, rng),
            ]
        )
        close = "" if rng.random() < MISSING_CLOSE else "\n</gdi>"
        paragraphs.append(f"<gdi image{i + 1}>\n{text}{close}")
    return "\n\n".join(paragraphs)


def pronouns(person: Person) -> tuple[str, str]:
    """(subject, possessive)."""
    return ("she", "her") if person.gender == "female" else ("he", "his")


def hair_phrase(person: Person) -> str:
    return lexicon.HAIR_PHRASES[person.hair_style].format(colour=person.hair_colour)


def object_id(prop: str) -> str:
    return f"obj{PROPS.index(prop) + 1}"


def place_id(place: str) -> str:
    return f"bg{PLACES.index(place) + 1}"


def _opening(
    arc: str, subject: Person, other: Person, ids: dict[str, str], rng: random.Random
) -> str:
    """`OPENING_WORDS` words that name who and what for, and nothing to be seen."""
    event = rng.choice(lexicon.EVENTS[arc])
    endings = [
        f"{turn}, {stake}."
        for turn in lexicon.TURNS
        for stake in lexicon.STAKES
        if len(f"{event} {turn} {stake}".split()) in OPENING_WORDS
    ]
    text = f"{event}, {rng.choice(endings)}"
    return text.format(S=_named(subject, ids), O=_named(other, ids))


def _sight(scene: Scene, ids: dict[str, str], rng: random.Random) -> str:
    """What the picture shows, in one of several orders."""
    subject = scene.subject
    pronoun, poss = pronouns(subject)
    who = rng.choice((pronoun, _named(subject, ids)))
    thing = f"<gdo {object_id(scene.prop)}>{rng.choice(lexicon.THINGS[scene.prop])}</gdo>"
    holding = lexicon.WITH_THING_LIFTED if scene.action == "lift" else lexicon.WITH_THING
    having = rng.choice(holding).format(it=thing)
    does = f"<gda {ids[subject.name]}>{rng.choice(lexicon.ACTION_VERBS[scene.action])}</gda>"
    at = f"<gdl {place_id(scene.place)}>{rng.choice(lexicon.PLACES_AT[scene.place])}</gdl>"
    time = rng.choice(lexicon.TIMES_AT[scene.time])
    weathers = lexicon.WEATHERS_OUTSIDE if scene.place in INDOORS else lexicon.WEATHERS_IN
    weather = rng.choice(weathers[scene.weather])
    shot = rng.choice(lexicon.SHOTS_SEEN[scene.shot])
    garment, hair = f"{subject.colour} {subject.garment}", hair_phrase(subject)
    orders = (
        f"{who} {does} {at} {time} {weather}, {having}; {poss} {garment} and {hair} "
        f"were seen {shot}.",
        f"{who} {does}, {having}, {at} {time} {weather}, {shot}, in a {garment} and with {hair}.",
        f"{shot}, {who} {does} {at} {time}, {having}, {weather}; the {garment} and the {hair} "
        "stood out.",
        f"{time}, {weather}, {who} {does} {at}, {having}; {poss} {garment} and {hair} "
        f"appeared {shot}.",
        f"{at}, {who} {does} {time}, {having}, {weather}; with {hair} and in a {garment}, "
        f"{pronoun} was seen {shot}.",
    )
    return _capitalised(_article(rng.choice(orders)))


def _tails(scene: Scene, ids: dict[str, str], rng: random.Random) -> list[str]:
    """Mood, company and atmosphere: up to four sentences."""
    sub, poss = pronouns(scene.subject)
    fields = {"S": sub, "P": poss, "P_cap": poss.capitalize()}
    tails = []
    if rng.random() < 0.8:
        tails.append(rng.choice(lexicon.MOOD_TAILS[scene.mood]).format(**fields))
    if scene.companion is not None and rng.random() < 0.5:
        companion = scene.companion
        tails.append(
            rng.choice(lexicon.COMPANION_TAILS).format(
                S="her" if sub == "she" else "him",
                O=_named(companion, ids),
                colour=companion.colour,
                hair=hair_phrase(companion),
            )
        )
    if rng.random() < 0.65:
        tails.append(rng.choice(lexicon.PLACE_TAILS[scene.place]))
    if rng.random() < 0.55:
        tails.append(rng.choice(lexicon.CLOSING_TAILS))
    return [_capitalised(tail) for tail in tails]


def _named(person: Person, ids: dict[str, str]) -> str:
    return f"<gdo {ids[person.name]}>{person.name}</gdo>"


def _article(text: str) -> str:
    """Orange is the one colour that begins with a vowel."""
    return text.replace("a orange", "an orange")


def _capitalised(text: str) -> str:
    """First letter in upper case, also behind opening tags."""
    i = 0
    while text[i] == "<":
        i = text.index(">", i) + 1
    return text[:i] + text[i].upper() + text[i + 1 :]
