"""The prepare stage's work: raw stories checked, their frames listed, the refused set aside."""

import functools
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pipeline.common.errors import UserError
from pipeline.common.files import jsonl_writer, write_json
from pipeline.common.progress import progress_bar
from pipeline.images.pixels import LARGEST
from pipeline.prepare.annotations import annotations
from pipeline.prepare.examination import REASONS, Refusal, Story, examine
from pipeline.prepare.summary import Summary
from pipeline.stories.annotations import Annotation, writing_annotations
from pipeline.stories.frames import content_key, writing_frames
from pipeline.stories.origin import read_origin
from pipeline.stories.schema import SPLITS, count_stories, image_bytes, iter_stories, story_files

STORIES_AHEAD = 16  # examined at a time ...
BYTES_AHEAD = 256 << 20  # ... or fewer, where their images are large

DETAIL_CHARACTERS = 300  # of a line of the quarantine, at most

Located = tuple[str, int, dict[str, Any]]  # file relative to the raw folder, row in it, the row


def prepare(
    raw: Path,
    frames: Path,
    annotated: Path,
    summary: Path,
    quarantine: Path,
    plots: Path,
    bad_frame: Literal["story", "cut"] = "story",
    max_megapixels: float = LARGEST,
) -> Summary:
    """Check the stories of a raw folder; write frames, annotations, summary and quarantine.

    Streams: what is held in memory is a few stories, and a few digests of every story. The files
    depend on the stories alone and are written in the stories' order. An id is taken by the first
    row of its split that is kept; see `Identity.named` for ids that both splits have.

    Args:
        raw: folder with `train/*.parquet` and perhaps `test/*.parquet`.
        frames: `FRAMES_SCHEMA` parquet, a row per frame of the stories kept.
        annotated: `ANNOTATIONS_SCHEMA` parquet, a row per row of `frames`.
        summary: JSON, where the stories came from and the dataset table of `Summary.table`.
        quarantine: JSON lines, a row per story refused or cut: story_id, split, row (number within
            the split, from 0), kind (of `REASONS`, or `cut`), reason, detail.
        plots: folder of `Distributions.plots`, a JSON file each.
        bad_frame: what a bad frame costs: its `story`, or the frames from it on (`cut`).
        max_megapixels: millions of pixels above which an image is refused.

    Raises:
        UserError: if there are no stories, or if not a single one can be used; all files
            are written in the latter case, since they tell why.
    """
    _check_layout(raw)
    gathered = Summary()
    with (
        writing_frames(frames) as table,
        writing_annotations(annotated) as notes,
        jsonl_writer(quarantine) as refuse,
    ):
        located = progress_bar(iter_stories(raw), "prepare", count_stories(raw), unit="story")
        for judged in judge(located, bad_frame, max_megapixels):
            if isinstance(judged.outcome, Story):
                table.add(_frame_rows(judged, judged.outcome))
                notes.add(_annotations(judged, judged.outcome))
            gathered.add(judged.split, judged.row, judged.outcome, judged.elsewhere)
            if entry := judged.complaint():
                refuse(entry)
    write_json(summary, {"dataset": read_origin(raw)} | gathered.table())
    for name, rows in gathered.distributions.plots().items():
        write_json(plots / f"{name}.json", rows)
    if gathered.read == 0:
        raise UserError(f"{raw} holds no stories; run the download stage again")
    if gathered.kept == 0:
        raise UserError(f"{raw}: {gathered.sentence()}; {quarantine} says why for each")
    return gathered


@dataclass(frozen=True)
class Judged:
    """A story that was read, and what is to become of it."""

    file: str  # relative to the raw folder: the split's folder is its first part
    row_number: int  # in the file
    number: int  # in the split
    row: dict[str, Any]
    outcome: Story | Refusal
    elsewhere: bool
    """Whether it is kept and a story of another split is the same, picture by picture."""

    @property
    def split(self) -> str:
        """The dataset's own split: train or test."""
        return self.file.split("/", 1)[0]

    def complaint(self) -> dict[str, Any] | None:
        """The line of the quarantine for a story that is refused, or cut; None for others."""
        if isinstance(self.outcome, Refusal):
            kind, detail = self.outcome.kind, self.outcome.detail
            reason = REASONS[kind]
        elif cut := self.outcome.cut:
            kind, reason = "cut", "The story ends before its first bad frame."
            kept = len(self.outcome.captions)
            detail = f"{kept} frames are kept; {cut.kind}: {cut.detail}"
        else:
            return None
        where = {"story_id": self.row["story_id"], "split": self.split, "row": self.number}
        return where | {"kind": kind, "reason": reason, "detail": _shown(detail)}


def judge(
    located: Iterable[Located], bad_frame: Literal["story", "cut"], max_megapixels: float
) -> Iterator[Judged]:
    """Examine stories in their order and settle their ids; see `prepare`."""
    identity = Identity()
    rows_before: Counter[str] = Counter()
    for (file, row_number, row), outcome in _examined(located, bad_frame, max_megapixels):
        split, story_id = file.split("/", 1)[0], row["story_id"]
        elsewhere = False
        if story_id is not None and identity.is_taken(split, story_id):
            outcome = Refusal("duplicate_id", f"story_id {story_id}")
        if isinstance(outcome, Story):
            elsewhere = identity.is_elsewhere(split, outcome)
            outcome = identity.named(split, outcome)
        yield Judged(file, row_number, rows_before[split], row, outcome, elsewhere)
        rows_before[split] += 1


def _check_layout(raw: Path) -> None:
    """See that every file lies in a split's folder, before anything is read."""
    for path in story_files(raw):
        if path.relative_to(raw).parts[0] not in SPLITS:
            raise UserError(f"{path} lies neither in {raw}/train nor in {raw}/test; move it there")


def _examined(
    located: Iterable[Located], bad_frame: Literal["story", "cut"], max_megapixels: float
) -> Iterator[tuple[Located, Story | Refusal]]:
    """Examine stories on all cores (decoding releases the interpreter's lock), in their order."""
    look = functools.partial(examine, bad_frame=bad_frame, max_megapixels=max_megapixels)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in _batches(located):
            yield from zip(batch, pool.map(look, [row for _, _, row in batch]), strict=True)


def _batches(located: Iterable[Located]) -> Iterator[list[Located]]:
    """As many stories as may be held in memory at a time."""
    batch: list[Located] = []
    size = 0
    for story in located:
        batch.append(story)
        size += image_bytes(story[2])
        if len(batch) == STORIES_AHEAD or size >= BYTES_AHEAD:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _shown(detail: str) -> str:
    """A detail on one line and the same at every run: a library's message may hold an address."""
    detail = re.sub(r" at 0x[0-9a-fA-F]+", "", detail)
    legible = "".join(c if c.isprintable() else repr(c)[1:-1] for c in detail[:DETAIL_CHARACTERS])
    return legible[:DETAIL_CHARACTERS]


def _frame_rows(judged: Judged, story: Story) -> list[dict[str, Any]]:
    """Give the rows of `FRAMES_SCHEMA` for one story."""
    return [
        {
            "split": judged.split,
            "story_id": story.story_id,
            "frame_index": index,
            "n_frames": len(story.captions),
            "caption": caption,
            "image_file": judged.file,
            "image_row": judged.row_number,
            "image_index": index,
            "image_key": image_key,
            "caption_key": content_key(caption.encode()),
        }
        for index, (caption, image_key) in enumerate(
            zip(story.captions, story.image_keys, strict=True)
        )
    ]


def _annotations(judged: Judged, story: Story) -> list[Annotation]:
    """Give the rows of `ANNOTATIONS_SCHEMA` for one story."""
    text, thoughts = judged.row["story"], judged.row.get("chain_of_thought")
    return annotations(story.story_id, story.captions, text, thoughts)


class Identity:
    """Which stories are the same: by id within a split, by content across the splits.

    A few digests of 16 bytes are remembered of each story that is kept.
    """

    def __init__(self) -> None:
        self._ids: set[bytes] = set()  # of split and id
        self._names: set[bytes] = set()
        self._contents: dict[str, set[bytes]] = {}  # split -> of pictures and captions

    def is_taken(self, split: str, story_id: str) -> bool:
        """Whether a story of this split has this id."""
        return _digest(split, story_id) in self._ids

    def named(self, split: str, story: Story) -> Story:
        """Take a story's id, which must be free, and give the story the one name that all know.

        That is its id. Ids may be counted anew in each split, so where a story of another split has
        that name already, it is `split/id`.
        """
        self._ids.add(_digest(split, story.story_id))
        name = story.story_id
        while _digest(name) in self._names:
            name = f"{split}/{name}"
        self._names.add(_digest(name))
        return replace(story, story_id=name)

    def is_elsewhere(self, split: str, story: Story) -> bool:
        """Whether a story of another split had the same pictures and captions; remembers this."""
        captions = [content_key(caption.encode()) for caption in story.captions]
        content = content_key(b"".join([*story.image_keys, *captions]))[:16]
        found = any(content in held for other, held in self._contents.items() if other != split)
        self._contents.setdefault(split, set()).add(content)
        return found


def _digest(*parts: str) -> bytes:
    return content_key("\0".join(parts).encode())[:16]
