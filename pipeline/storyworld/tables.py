"""The chain of thought: StoryReasoning's tables of characters, objects and setting per image,
and of the narrative's phases, in Markdown.

The columns are those of the dataset's own tables; bounding boxes are in pixels, x1,y1,x2,y2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.storyworld.arcs import Story
from pipeline.storyworld.drawing.pictures import Picture
from pipeline.storyworld.drawing.shapes import Box
from pipeline.storyworld.prose import hair_phrase, object_id, place_id
from pipeline.storyworld.world import INDOORS, Person, Scene

PHASES = ("Introduction", "Development", "Turning Point", "Climax", "Conclusion")

CHARACTERS = (
    "Character ID",
    "Name",
    "Description",
    "Emotions",
    "Actions",
    "Narrative Function",
    "Bounding Box",
)
OBJECTS = (
    "Object ID",
    "Description",
    "Function",
    "Interaction",
    "Narrative Function",
    "Bounding Box",
)
SETTING = ("Setting Element", "Description", "Mood", "Time", "Narrative Function")


def think_aloud(story: Story, pictures: Sequence[Picture]) -> str:
    """The whole `chain_of_thought` of a story, of whose scenes these are the pictures."""
    ids = {person.name: f"char{i + 1}" for i, person in enumerate(story.cast)}
    images = [
        _image(i, scene, picture, ids)
        for i, (scene, picture) in enumerate(zip(story.scenes, pictures, strict=True))
    ]
    return "\n\n".join([*images, _structure(story)])


def _image(i: int, scene: Scene, picture: Picture, ids: dict[str, str]) -> str:
    subject = scene.subject
    people = [_character(subject, ids, scene.mood, scene.action, "protagonist", picture.subject)]
    if scene.companion is not None and picture.companion is not None:
        witness = (scene.companion, ids, "calm", "stand", "witness", picture.companion)
        people.append(_character(*witness))
    kept = f"kept by {ids[subject.name]}"
    all_of_it = _box((0, 0, *picture.image.size))
    things = [
        (object_id(scene.prop), scene.prop, "at hand", kept, "leads on", _box(picture.thing)),
        (place_id(scene.place), scene.place, "background", "around all", "the stage", all_of_it),
    ]
    where = "indoors" if scene.place in INDOORS else "outdoors"
    setting = [
        (element, told, scene.mood, scene.time, function)
        for element, told, function in (
            ("Location", scene.place, "where it happens"),
            ("Environment", where, "how open it is"),
            ("Weather", scene.weather, "what they bear"),
        )
    ]
    return (
        f"## Image {i + 1}\n\n### Characters\n{_table(CHARACTERS, people)}"
        f"\n\n### Objects\n{_table(OBJECTS, things)}\n\n### Setting\n{_table(SETTING, setting)}"
    )


def _character(
    person: Person, ids: dict[str, str], mood: str, action: str, function: str, box: Box
) -> tuple[str, ...]:
    clothes = f"{person.colour} {person.garment}"
    looks = f"{person.age} {person.role} with {hair_phrase(person)}, {clothes}"
    return (ids[person.name], person.name, looks, mood, action, function, _box(box))


def _box(box: Box) -> str:
    return ",".join(f"{edge:.0f}" for edge in box)


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
