"""What the tables of a chain of thought say of each frame, read by their headers.

StoryReasoning has three tables for each image, in Markdown: characters, objects (landmarks and
backgrounds among them) and elements of the setting. A language model wrote them, so columns come
in any order, more of them or fewer, and lines come broken. A table is known by its header, whatever
stands above it; a row that does not have a cell for each column is counted and left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

CHARACTER, OBJECT, ELEMENT = "character id", "object id", "setting element"
"""The column that a table of this kind has and no other."""
UNTOLD = frozenset({"", "-", "n/a", "na", "none", "null", "unknown", "unspecified"})
"""What stands in a cell that says nothing."""
FIELDLESS = frozenset({ELEMENT, "description", "narrative function"})
"""Columns of a setting that are no field of their own, as its time and mood are."""

_IMAGE = re.compile(
    r"\s{0,3}[#*]{1,6}\s{0,3}(?:image|img|frame)[\s_#-]{0,3}([0-9]{1,9})\b.{0,80}", re.IGNORECASE
)
_HEADING = re.compile(r"\s{0,3}#{1,2}\s")
_RULE = re.compile(r"[\s|:=-]+")
_BAR = re.compile(r"(?<!\\)\|")

Cells = dict[str, str]
"""A row: name of a column in lower case -> what it says, white space folded."""


class Named(NamedTuple):
    """A row of a table of characters or objects."""

    id: str
    name: str


@dataclass
class FrameTables:
    """What the tables say of one frame, in their order."""

    people: list[Named] = field(default_factory=list)
    """Characters by their names."""
    things: list[Named] = field(default_factory=list)
    """Objects, landmarks and backgrounds by their descriptions."""
    actions: list[str] = field(default_factory=list)
    """What the characters do."""
    setting: dict[str, str] = field(default_factory=dict)
    """Field in lower case (location, weather, time, ...) -> what it is; the first where several."""
    unread: int = 0
    """Lines of tables that could not be read."""


def frame_tables(thoughts: str | None, n_frames: int) -> list[FrameTables]:
    """What a chain of thought says of each frame.

    Args:
        thoughts: the text; None where the dataset has none.
        n_frames: the number of the story's images; tables of others are left out.

    Returns:
        `n_frames` tables, empty for frames that the text does not speak of.
    """
    found = [FrameTables() for _ in range(n_frames)]
    for number, lines in _sections(thoughts or ""):
        if 1 <= number <= n_frames:
            _read(lines, found[number - 1])
    return found


def _sections(thoughts: str) -> Iterator[tuple[int, list[str]]]:
    """Number of an image, from 1, and the lines below its heading, up to the next section's."""
    number = 0
    lines: list[str] = []
    for line in thoughts.splitlines():
        image = _IMAGE.fullmatch(line)
        if image or _HEADING.match(line):
            yield number, lines
            number, lines = (int(image[1]) if image else 0), []
        else:
            lines.append(line)
    yield number, lines


def _read(lines: list[str], into: FrameTables) -> None:
    header: list[str] = []
    for line in lines:
        cells = _cells(line)
        if not cells:
            header = []  # a table ends where its lines do
        elif _RULE.fullmatch(line):
            continue
        elif names := _header(cells):
            header = names
        elif len(cells) == len(header):
            _take(dict(zip(header, cells, strict=True)), into)
        else:
            into.unread += 1


def _cells(line: str) -> list[str]:
    """The cells of a line of a table, without bold and code marks; none for a line without bars."""
    line = line.strip()
    if not _BAR.search(line):
        return []
    inner = _BAR.split(line.removeprefix("|"))
    if line.endswith("|"):
        inner = inner[:-1]
    return [" ".join(cell.replace("\\|", "|").strip("*` ").split()) for cell in inner]


def _header(cells: list[str]) -> list[str]:
    """The columns' names if these cells are a header of a table that is known."""
    names = [cell.lower() for cell in cells]
    return names if {CHARACTER, OBJECT, ELEMENT} & {*names} else []


def _take(row: Cells, into: FrameTables) -> None:
    told = {name: text for name, text in row.items() if text.lower() not in UNTOLD}
    if CHARACTER in row:
        if "name" in told:
            into.people.append(Named(told.get(CHARACTER, ""), told["name"]))
        if "actions" in told:
            into.actions.append(told["actions"])
    elif OBJECT in row:
        if "description" in told:
            into.things.append(Named(told.get(OBJECT, ""), told["description"]))
    else:
        fields = {name: text for name, text in told.items() if name not in FIELDLESS}
        if ELEMENT in told and "description" in told:
            fields[told[ELEMENT].lower()] = told["description"]
        for name, text in fields.items():
            into.setting.setdefault(name, text)
