"""The prepare stage's work: raw stories checked, their frames listed, the refused set aside."""

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.files import replacing, write_json
from pipeline.progress import progress_bar
from pipeline.stories.distributions import Distributions, write_plots
from pipeline.stories.examination import REASONS, Refusal, Story, examine
from pipeline.stories.frames import content_key, writing_frames
from pipeline.stories.schema import SPLITS, count_stories, iter_stories, story_files
from pipeline.stories.summary import Summary

STORIES_AHEAD = 16  # examined at a time: what bounds the images held in memory

Located = tuple[str, int, dict[str, Any]]  # file relative to the raw folder, row in it, the row


def prepare(raw: Path, frames: Path, summary: Path, quarantine: Path, plots: Path) -> Summary:
    """Check the stories of a raw folder and write the table of frames, the summary, the quarantine.

    Streams: what is held in memory is a few stories, and a digest of every story id. The files
    depend on the stories alone and are written in the stories' order.

    Args:
        raw: folder with `train/*.parquet` and perhaps `test/*.parquet`.
        frames: `FRAMES_SCHEMA` parquet, a row per frame of the stories kept.
        summary: JSON, the dataset table of `Summary.table`.
        quarantine: JSON lines, a row per story refused: story_id, split, row (number within the
            split, from 0), kind, reason, detail.
        plots: folder of `Distributions.plots`, a JSON file each.

    Raises:
        UserError: if there are no stories, or if not a single one can be used; all files
            are written in the latter case, since they tell why.
    """
    _check_layout(raw)
    seen: set[bytes] = set()
    gathered, distributions = Summary(), Distributions()
    rows_before: Counter[str] = Counter()
    with (
        writing_frames(frames) as table,
        replacing(quarantine) as refused_path,
        refused_path.open("w", encoding="utf-8", newline="\n") as refused,
    ):
        located = progress_bar(iter_stories(raw), "prepare", count_stories(raw), unit="story")
        for (file, row_number, row), outcome in _examined(located):
            split = file.split("/", 1)[0]
            outcome = _unless_duplicate(row["story_id"], outcome, seen)
            gathered.add(split, row, outcome)
            if isinstance(outcome, Story):
                table.add(_frame_rows(split, file, row_number, outcome))
                distributions.add(outcome)
            else:
                entry = {
                    "story_id": row["story_id"],
                    "split": split,
                    "row": rows_before[split],
                    "kind": outcome.kind,
                    "reason": REASONS[outcome.kind],
                    "detail": outcome.detail,
                }
                refused.write(json.dumps(entry, ensure_ascii=False) + "\n")
            rows_before[split] += 1
    write_json(summary, gathered.table())
    write_plots(distributions, plots)
    if gathered.read == 0:
        raise UserError(f"{raw} holds no stories; run the download stage again")
    if gathered.kept == 0:
        raise UserError(f"{raw}: {gathered.sentence()}; {quarantine} says why for each")
    return gathered


def _check_layout(raw: Path) -> None:
    """See that every file lies in a split's folder, before anything is read."""
    for path in story_files(raw):
        if path.relative_to(raw).parts[0] not in SPLITS:
            raise UserError(f"{path} lies neither in {raw}/train nor in {raw}/test; move it there")


def _examined(located: Iterable[Located]) -> Iterator[tuple[Located, Story | Refusal]]:
    """Examine stories on all cores (decoding releases the interpreter's lock), in their order."""
    stream = iter(located)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while batch := list(itertools.islice(stream, STORIES_AHEAD)):
            yield from zip(batch, pool.map(examine, [row for _, _, row in batch]), strict=True)


def _unless_duplicate(
    story_id: str | None, outcome: Story | Refusal, seen: set[bytes]
) -> Story | Refusal:
    """Refuse a story whose id an earlier row took, whatever became of that row."""
    if story_id is None:
        return outcome
    digest = content_key(story_id.encode())[:16]
    if digest not in seen:
        seen.add(digest)
        return outcome
    return Refusal("duplicate_id", f"story_id {story_id}")


def _frame_rows(split: str, file: str, row_number: int, story: Story) -> list[dict[str, Any]]:
    """Give the rows of `FRAMES_SCHEMA` for one story."""
    return [
        {
            "split": split,
            "story_id": story.story_id,
            "frame_index": index,
            "n_frames": len(story.captions),
            "caption": caption,
            "image_file": file,
            "image_row": row_number,
            "image_index": index,
            "image_key": image_key,
            "caption_key": content_key(caption.encode()),
        }
        for index, (caption, image_key) in enumerate(
            zip(story.captions, story.image_keys, strict=True)
        )
    ]
