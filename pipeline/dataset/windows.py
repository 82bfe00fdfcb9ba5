"""Context windows: K frames of a story in a row, and the frame after them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.common.errors import UserError

MODES = ("sliding", "first")


@dataclass(frozen=True)
class Windows:
    """N windows as rows of the frames table."""

    context: np.ndarray
    """int64 [N, K], in story order."""
    target: np.ndarray
    """int64 [N]: the row right after each context."""
    story: list[str]
    """Story id of each window."""

    def __len__(self) -> int:
        return len(self.target)


def make_windows(frames: pa.Table, story_ids: Sequence[str], k: int, mode: str) -> Windows:
    """Cut stories into windows of K context frames and one target.

    Args:
        frames: the frames table, or its `story_id` column alone; a story's rows are adjacent and
            in story order.
        story_ids: the stories to cut, in the order that the windows shall have.
        k: context frames, at least 1.
        mode: `sliding` for every start, so that a story of n frames gives n - K windows; `first`
            for the one that starts with the story. A story of K frames or fewer gives none.

    Raises:
        UserError: for a story that the table does not have.
        ValueError: for an unknown mode, K below 1, or a story whose rows are not adjacent.
    """
    if mode not in MODES or k < 1:
        raise ValueError(f"mode must be one of {MODES} and k at least 1, not {mode!r} and {k}")
    names, starts, counts = _stories(frames)
    place = {name: i for i, name in enumerate(names)}
    unknown = [story for story in story_ids if story not in place]
    if unknown:
        raise UserError(
            f"{len(unknown)} stories of the split are not in the frames table, "
            f"{unknown[0]:.100} for one; run the split stage again (dvc repro)"
        )
    chosen = np.array([place[story] for story in story_ids], np.int64)
    per_story = np.maximum(counts[chosen] - k, 0)
    if mode == "first":
        per_story = np.minimum(per_story, 1)
    # Row of a window's first frame: its story's first row plus its number within the story.
    before = np.cumsum(per_story) - per_story
    number = np.arange(per_story.sum()) - np.repeat(before, per_story)
    first = np.repeat(starts[chosen], per_story) + number
    story = [name for name, n in zip(story_ids, per_story.tolist(), strict=True) for _ in range(n)]
    return Windows(first[:, None] + np.arange(k), first + k, story)


def _stories(frames: pa.Table) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Name, first row and number of rows of every story, in the table's order."""
    column = frames.column("story_id").combine_chunks()
    if not len(column):
        return [], np.zeros(0, np.int64), np.zeros(0, np.int64)
    codes = column.dictionary_encode()
    if isinstance(codes, pa.ChunkedArray):
        codes = codes.combine_chunks()
    runs = codes.indices.to_numpy()
    starts = np.flatnonzero(np.r_[True, runs[1:] != runs[:-1]])
    names = codes.dictionary.take(pa.array(runs[starts])).to_pylist()
    if len(set(names)) != len(names):
        raise ValueError("the frames table is not in story order")
    return names, starts, np.diff(np.r_[starts, len(runs)])
