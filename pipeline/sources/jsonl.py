"""Stories as JSON lines beside their pictures: the bridge from other datasets.

A line a story: `{"story_id": "1", "frames": [{"image": "1/a.jpg", "caption": "..."}, ...]}`, with
paths relative to the file, and `"split": "test"` for a story for testing.
"""

import functools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError, reason
from pipeline.common.files import reading
from pipeline.sources.files import (
    MOST_TEXT_BYTES,
    Files,
    as_text,
    is_text,
    plain_story,
    show,
    unread,
)
from pipeline.sources.source import Source
from pipeline.stories.schema import SPLITS, Row, Split

NAMES = {split: f"{split}.jsonl" for split in SPLITS}
"""In a folder, the file of each split."""


def jsonl_stories(path: str) -> Source:
    """Open JSON lines of stories.

    Args:
        path: a file, or a folder with `train.jsonl` and perhaps `test.jsonl`. A line's own `split`
            goes before the file's; lines of other splits than train and test are left out, and it
            is said on stderr.

    Returns:
        Their rows, in the order of the lines. What cannot be read of a story is in its row
        (`unread`). The origin has the number, size and SHA-256 of all files that were read.

    Raises:
        UserError: if there is no such file. Reading the rows raises it for a line that is no JSON
            or names no story.
    """
    place = Path(path)
    if place.is_dir():
        found = {split: place / NAMES[split] for split in SPLITS}
        lines_of = {split: file for split, file in found.items() if file.is_file()}
    else:
        lines_of = {"train": place} if place.is_file() else {}
    if not lines_of:
        raise UserError(
            f"dataset.jsonl.path: {place} is no file of JSON lines, nor a folder with "
            f"{NAMES['train']}; give one"
        )
    files = Files(place if place.is_dir() else place.parent)
    for file in lines_of.values():
        with reading(file, "give another path"):
            files.digest(file)
    left_out: set[str] = set()
    rows = {split: functools.partial(_rows, files, lines_of, split, left_out) for split in SPLITS}
    return Source(rows, lambda: {"source": "jsonl", **files.origin()})


def _rows(
    files: Files, lines_of: dict[Split, Path], split: Split, left_out: set[str]
) -> Iterator[Row]:
    """Read the stories of one split out of all files."""
    for default, path in lines_of.items():
        for number, line in _lines(path):
            where = f"{path}, line {number}"
            values = _values(line, where)
            own = values.get("split") or default
            if own == split:
                yield _story(files, values, where)
            elif own not in SPLITS and str(own) not in left_out:
                left_out.add(str(own))
                print(
                    f"{where} is of split {show(str(own))}: lines of it are not used, only those "
                    "of train and test",
                    file=sys.stderr,
                )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number the lines that are not blank; one is held at a time, up to `MOST_TEXT_BYTES`."""
    with reading(path, "give another path"), path.open("rb") as file:
        number = 0
        while line := file.readline(MOST_TEXT_BYTES):
            number += 1
            if len(line) == MOST_TEXT_BYTES:
                raise UserError(
                    f"{path}, line {number} is longer than {MOST_TEXT_BYTES >> 20} MiB; write one "
                    "story a line"
                )
            if line.strip():
                yield number, line


def _values(line: bytes, where: str) -> dict[str, Any]:
    try:
        values = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is no JSON ({reason(error)}); correct the line") from None
    story_id = values.get("story_id") if isinstance(values, dict) else None
    if isinstance(story_id, bool) or not isinstance(story_id, str | int) or story_id == "":
        raise UserError(
            f'{where} has no story_id; a line is {{"story_id": "...", "frames": [...]}}'
        )
    return dict(values)


def _story(files: Files, values: dict[str, Any], where: str) -> Row:
    story_id = as_text(str(values["story_id"]))
    frames = values.get("frames")
    if not isinstance(frames, list):
        wrong = f"{where} has no list of frames"
        return plain_story(story_id, [(unread(wrong), None)])
    return plain_story(
        story_id,
        [_frame(files, frame, f"frame {number}") for number, frame in enumerate(frames, start=1)],
    )


def _frame(files: Files, frame: Any, which: str) -> tuple[Row, str | None]:
    if not isinstance(frame, dict) or not isinstance(frame.get("image"), str):
        return unread(f'{which} is not {{"image": path, "caption": text}}'), None
    caption = frame.get("caption")
    if caption is not None and not is_text(caption):
        return unread(f"the caption of {which} is no text"), None
    return files.read_image(frame["image"]), caption
