"""The chain of thought: StoryReasoning's tables of characters, objects and setting per image,
and of the narrative's phases, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.storyworld.arcs import Story
from pipeline.storyworld.prose import hair_phrase, object_id, place_id
from pipeline.storyworld.world import INDOORS, Person, Scene

PHASES = ("Introduction", "Development", "Turning Point", "Climax", "Conclusion")


def think_aloud(story: Story) -> str:
    """The whole `chain_of_thought` of a story."""
    ids = {person.name: f"char{i + 1}" for i, person in enumerate(story.cast)}
    images = [_image(i, scene, ids) for i, scene in enumerate(story.scenes)]
    return "\n\n".join([*images, _structure(story)])


def _image(i: int, scene: Scene, ids: dict[str, str]) -> str:
    people = [_character(scene.subject, ids, scene.mood, scene.action, "protagonist")]
    if scene.companion is not None:
        people.append(_character(scene.companion, ids, "calm", "stand", "witness"))
    characters = _table(
        ("Character ID", "Name", "Description", "Emotions", "Actions", "Narrative Function"),
        people,
    )
    objects = _table(
        ("Object ID", "Description", "Function", "Interaction"),
        [(object_id(scene.prop), scene.prop, "at hand", f"kept by {ids[scene.subject.name]}")],
    )
    where = "indoors" if scene.place in INDOORS else "outdoors"
    setting = _table(
        ("Setting ID", "Location", "Environment", "Time of Day", "Weather", "Shot"),
        [(place_id(scene.place), scene.place, where, scene.time, scene.weather, scene.shot)],
    )
    return (
        f"## Image {i + 1}\n\n### Characters\n{characters}\n\n### Objects\n{objects}"
        f"\n\n### Setting\n{setting}"
    )


def _character(
    person: Person, ids: dict[str, str], mood: str, action: str, function: str
) -> tuple[str, ...]:
    clothes = f"{person.colour} {person.garment}"
    looks = f"{person.age} {person.role} with {hair_phrase(person)}, {clothes}"
    return (ids[person.name], person.name, looks, mood, action, function)


def _structure(story: Story) -> str:
    n = len(story.scenes)
    rows = []
    for k, phase in enumerate(PHASES):
        start, stop = k * n // len(PHASES), (k + 1) * n // len(PHASES)
        scenes = story.scenes[start:stop]
        places = ", ".join(dict.fromkeys(scene.place for scene in scenes))
        doings = ", ".join(f"{scene.subject.name}: {scene.action}" for scene in scenes)
        images = ", ".join(f"Image {i + 1}" for i in range(start, stop))
        rows.append((phase, f"the {story.arc.name} at {places}", doings, images))
    header = ("Narrative Phase", "Description", "Key Events", "Images")
    return f"## Narrative Structure\n{_table(header, rows)}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
