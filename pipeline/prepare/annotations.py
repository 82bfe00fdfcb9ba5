"""What a story's tags and tables say of each frame, as rows of the table of annotations."""

from collections.abc import Iterator
from typing import Any

from pipeline.prepare.grounding import Mention, frame_mentions
from pipeline.prepare.tables import FrameTables, frame_tables
from pipeline.stories.annotations import PERSON, PLACE, THING, Annotation

KINDS = {"char": PERSON, "obj": THING, "lm": PLACE, "bg": PLACE}
"""What the ids of each kind begin with."""


def annotations(
    story_id: str, captions: list[str], story: str | list[str], thoughts: str | None
) -> list[Annotation]:
    """The rows of one story; empty ones where nothing is said. Nothing raises on any text.

    Args:
        story_id: the name that the story goes by.
        captions: of the frames that are kept.
        story: the text with its tags, or plain captions, in which tags are text.
        thoughts: the chain of thought, if the dataset has one.
    """
    told: list[list[Mention]] = [[] for _ in captions]
    if isinstance(story, str):
        told = frame_mentions(story, len(captions))
    shown = frame_tables(thoughts, len(captions))
    return [
        {
            "story_id": story_id,
            "frame_index": index,
            "caption": caption,
            "mentions": [*_told(told[index]), *_shown(shown[index])],
            "actions": shown[index].actions,
            "setting": list(shown[index].setting.items()),
            "unread": shown[index].unread,
        }
        for index, caption in enumerate(captions)
    ]


def _told(mentions: list[Mention]) -> Iterator[dict[str, Any]]:
    for mention in mentions:
        kind = PLACE if mention.kind == "l" else _kind(mention.ids)
        yield _mention(kind, " ".join(mention.ids), mention.text, True)


def _shown(tables: FrameTables) -> Iterator[dict[str, Any]]:
    for person in tables.people:
        yield _mention(PERSON, person.id.lower(), person.name, False)
    for thing in tables.things:
        yield _mention(_kind((thing.id.lower(),)), thing.id.lower(), thing.name, False)
    if location := tables.setting.get("location"):
        yield _mention(PLACE, "", location, False)


def _mention(kind: str, ids: str, text: str, told: bool) -> dict[str, Any]:
    return {"kind": kind, "ids": ids, "text": text, "told": told}


def _kind(ids: tuple[str, ...]) -> str:
    """Of what kind the first of some ids is; a thing where nothing tells."""
    prefix = ids[0].rstrip("0123456789_#- ") if ids else ""
    return KINDS.get(prefix, THING)
