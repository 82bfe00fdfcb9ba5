"""The stories of a split as the evaluation sees them: first window, target, and another story."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dataset.story_dataset import COLUMNS as DATASET_COLUMNS
from pipeline.dataset.story_dataset import StoryDataset
from pipeline.evaluation.references import derangement, other_members
from pipeline.evaluation.results import ImagePlace

CHUNK_STORIES = 256
"""Stories whose features are held at a time where nothing is compared across stories."""

COLUMNS = [*DATASET_COLUMNS, "n_frames", "image_file", "image_row", "image_index"]
"""Columns of the frames table that the evaluation reads."""


@dataclass(frozen=True)
class SplitStories:
    """N stories of a split, all of them or a few: the first window of each, and what stands against
    it. Frames are given as rows of the frames table."""

    windows: StoryDataset
    """Context and target of each story."""
    place: NDArray[np.int64]
    """Number of each story within the split, [N]."""
    other: StoryDataset | None
    """The window of another story for each; None where the split has no other."""
    sizes: NDArray[np.int64]
    """Frames of each story, [N]; the first of them is the first of its context."""
    same_story: NDArray[np.int64]
    """Another frame of each story than its target, [N]."""

    @classmethod
    def of(cls, windows: StoryDataset, seed: int) -> "SplitStories":
        """Of the first window of each story; `seed` draws what stands against it."""
        count = len(windows)
        other = windows.select(derangement(count, seed)) if count > 1 else None
        first = windows.context[:, 0]
        sizes = windows.frames.column("n_frames").take(pa.array(first)).to_numpy()
        sizes = sizes.astype(np.int64)
        same_story = first + other_members(sizes, windows.target - first, seed)
        return cls(windows, np.arange(count), other, sizes, same_story)

    def __len__(self) -> int:
        return len(self.windows)

    def chunks(self, stories: int = CHUNK_STORIES) -> Iterator["SplitStories"]:
        """The stories in order, so many at a time."""
        for start in range(0, len(self), stories):
            yield self._part(start, min(start + stories, len(self)))

    def pools(self, stories: int) -> Iterator["SplitStories"]:
        """The stories in order, in pools of near equal size of at most so many."""
        for start, stop in pools(len(self), stories):
            yield self._part(start, stop)

    def _part(self, start: int, stop: int) -> "SplitStories":
        here = np.arange(start, stop)
        return SplitStories(
            self.windows.select(here),
            self.place[here],
            None if self.other is None else self.other.select(here),
            self.sizes[here],
            self.same_story[here],
        )

    def image_contents(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers of frames' images, [N], equal where the images are."""
        _, number = np.unique(self.windows.image_keys(rows), axis=0, return_inverse=True)
        return number.reshape(-1).astype(np.int64)

    def image_places(self, rows: NDArray[np.int64]) -> list[ImagePlace]:
        """Where frames' images lie in the raw data: file, row in it, index in the row's list."""
        columns = {"file": "image_file", "row": "image_row", "index": "image_index"}
        table = self.windows.frames.select(list(columns.values())).rename_columns(list(columns))
        places: list[ImagePlace] = table.take(pa.array(rows)).to_pylist()
        return places


def pools(count: int, at_most: int) -> Iterator[tuple[int, int]]:
    """Cut `count` items into as few runs of at most `at_most` as possible, of near equal size.

    Near equal, because a small last pool would be an easier question than the others.

    Yields:
        (start, stop) of each pool, in order.
    """
    number = -(-count // at_most)
    edges = [count * i // number for i in range(number + 1)] if number else []
    yield from pairwise(edges)
