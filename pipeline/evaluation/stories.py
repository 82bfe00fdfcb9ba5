"""The stories of a split as the evaluation sees them: first window, target, and another story."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dataset.windows import Windows, make_windows
from pipeline.evaluation.pools import pools
from pipeline.evaluation.references import derangement, other_members, reference_frames
from pipeline.features.store import FeatureStore, key_array

CHUNK_STORIES = 256
"""Stories whose features are held at a time where nothing is compared across stories."""

COLUMNS = [
    "story_id",
    "n_frames",
    "caption",
    "image_file",
    "image_row",
    "image_index",
    "image_key",
    "caption_key",
]
"""Columns of the frames table that the evaluation reads."""


@dataclass(frozen=True)
class Chunk:
    """N stories in a row. Frames are given as rows of the frames table."""

    place: NDArray[np.int64]
    """Number of each story within the split, [N]."""
    windows: Windows
    """Context and target of each story."""
    other: Windows | None
    """Those of another story for each; None where the split has no other."""
    references: dict[str, NDArray[np.int64]]
    """Reference row -> the frame whose caption it takes, [N]."""
    sizes: NDArray[np.int64]
    """Frames of each story, [N]; the first of them is the first of its context."""


@dataclass(frozen=True)
class SplitStories:
    """One split: the first window of each story, and another story for each."""

    frames: pa.Table
    images: FeatureStore
    texts: FeatureStore
    windows: Windows
    order: NDArray[np.int64] | None
    """Which story stands for another one: a derangement; None with fewer than two stories."""
    sizes: NDArray[np.int64]
    """Frames of each story."""
    same_story: NDArray[np.int64]
    """Another frame of each story than its target, as a row of the frames table."""

    @classmethod
    def make(
        cls,
        frames: pa.Table,
        images: FeatureStore,
        texts: FeatureStore,
        story_ids: Sequence[str],
        k: int,
        seed: int,
    ) -> "SplitStories":
        """Frames 0..K-1 as context and frame K as target, of every story that has so many."""
        windows = make_windows(frames, story_ids, k, "first")
        order = derangement(len(windows), seed) if len(windows) > 1 else None
        first = windows.context[:, 0]
        sizes = frames.column("n_frames").take(pa.array(first)).to_numpy().astype(np.int64)
        same_story = first + other_members(sizes, windows.target - first, seed)
        return cls(frames, images, texts, windows, order, sizes, same_story)

    def __len__(self) -> int:
        return len(self.windows)

    def chunks(self, stories: int = CHUNK_STORIES) -> Iterator[Chunk]:
        """The stories in order, so many at a time."""
        for start in range(0, len(self), stories):
            yield self._chunk(start, min(start + stories, len(self)))

    def pools(self, stories: int) -> Iterator[Chunk]:
        """The stories in order, in pools of near equal size of at most so many."""
        for start, stop in pools(len(self), stories):
            yield self._chunk(start, stop)

    def _chunk(self, start: int, stop: int) -> Chunk:
        here = np.arange(start, stop)
        own = _select(self.windows, here)
        other = None if self.order is None else _select(self.windows, self.order[here])
        others_target = None if other is None else other.target
        references = reference_frames(own.context, own.target, self.same_story[here], others_target)
        return Chunk(here, own, other, references, self.sizes[here])

    def image_features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """CLIP embeddings of frames' images: rows [...] to [..., D]; UserError if one lacks."""
        keys = self.image_keys(rows.reshape(-1))
        return self.images.lookup(keys).reshape(*rows.shape, self.images.dim)

    def text_features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """CLIP embeddings of frames' captions: rows [...] to [..., D]. UserError as above."""
        keys = key_array(self.frames.column("caption_key").take(pa.array(rows.reshape(-1))))
        return self.texts.lookup(keys).reshape(*rows.shape, self.texts.dim)

    def image_keys(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Content keys of frames' images: rows [N] to uint8 [N, 32]."""
        return key_array(self.frames.column("image_key").take(pa.array(rows)))

    def image_contents(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers of frames' images, [N], equal where the images are."""
        _, number = np.unique(self.image_keys(rows), axis=0, return_inverse=True)
        return number.reshape(-1).astype(np.int64)

    def captions(self, rows: NDArray[np.int64]) -> list[str]:
        """Captions of frames, [N]."""
        taken: list[str] = self.frames.column("caption").take(pa.array(rows)).to_pylist()
        return taken

    def contexts(self, windows: Windows) -> list[list[str]]:
        """The K captions of each context."""
        flat = self.captions(windows.context.reshape(-1))
        k = windows.context.shape[1]
        return [flat[i : i + k] for i in range(0, len(flat), k)]

    def image_places(self, rows: NDArray[np.int64]) -> list[dict[str, str | int]]:
        """Where frames' images lie in the raw data: file, row in it, index in the row's list."""
        columns = {"file": "image_file", "row": "image_row", "index": "image_index"}
        table = self.frames.select(list(columns.values())).rename_columns(list(columns))
        places: list[dict[str, str | int]] = table.take(pa.array(rows)).to_pylist()
        return places


def _select(windows: Windows, rows: NDArray[np.int64]) -> Windows:
    story = [windows.story[i] for i in rows.tolist()]
    return Windows(windows.context[rows], windows.target[rows], story)
