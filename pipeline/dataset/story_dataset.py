"""The dataset under training, captioning and evaluation: windows over the table of frames.

A window is K frames of a story in a row and the frame after them. A `StoryDataset` holds windows as
rows of the table, which is cheap; what is read of the feature stores, and when, is up to whoever
asks: a few frames, the contexts that captions are written from, or everything that training needs,
at once (`loaded.py`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int64, UInt8
from numpy import ndarray

from pipeline.common.errors import UserError
from pipeline.common.stage import Inputs
from pipeline.dataset.splits import read_splits
from pipeline.features.store import FeatureStore, key_array
from pipeline.stories.frames import read_frames

COLUMNS = ["story_id", "caption", "image_key", "caption_key"]
"""Columns of the frames table that a dataset needs."""
MODES = ("sliding", "first")


@dataclass(frozen=True)
class Stories:
    """What every stage after the embedding starts from, opened."""

    frames: pa.Table
    """`COLUMNS` of the frames table."""
    splits: dict[str, list[str]]
    """Story ids of `train`, `val` and `test`."""
    images: FeatureStore
    texts: FeatureStore

    @classmethod
    def open(cls, inputs: Inputs) -> "Stories":
        """Raises UserError where a file is missing or damaged."""
        return cls(
            read_frames(inputs.frames, COLUMNS),
            read_splits(inputs.splits),
            FeatureStore.open(inputs.images),
            FeatureStore.open(inputs.texts),
        )

    def windows(self, split: str, k: int, mode: str = "first") -> "StoryDataset":
        """The windows of a split; see `StoryDataset.cut`."""
        return StoryDataset.cut(self.frames, self.images, self.texts, self.splits[split], k, mode)


@dataclass(frozen=True)
class Contexts:
    """N contexts of K frames: all that a caption is written from."""

    story: list[str]
    """Story id of each."""
    images: Float32[ndarray, "n k dim_image"]
    """CLIP embeddings of the frames, unit norm."""
    texts: Float32[ndarray, "n k dim_text"]
    """CLIP embeddings of their captions, unit norm."""
    captions: list[list[str]]
    """The K captions of each."""
    keys: list[bytes]
    """SHA-256 of what each is made of: its frames' and captions' content keys, in order."""

    def __len__(self) -> int:
        return len(self.story)

    @classmethod
    def join(cls, parts: "Sequence[Contexts]") -> "Contexts":
        """The contexts of one or more `Contexts`, in order."""
        return cls(
            [story for part in parts for story in part.story],
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.texts for part in parts]),
            [captions for part in parts for captions in part.captions],
            [key for part in parts for key in part.keys],
        )

    def take(self, rows: Sequence[int]) -> "Contexts":
        """The contexts `rows`, in that order; one may be asked for more than once."""
        return Contexts(
            [self.story[i] for i in rows],
            self.images[list(rows)],
            self.texts[list(rows)],
            [self.captions[i] for i in rows],
            [self.keys[i] for i in rows],
        )


@dataclass(frozen=True)
class StoryDataset:
    """N windows, and where their frames' captions and embeddings are to be found."""

    frames: pa.Table
    """The frames table, with at least `COLUMNS`."""
    images: FeatureStore
    texts: FeatureStore
    context: Int64[ndarray, "n k"]
    """Rows of the table, in story order."""
    target: Int64[ndarray, " n"]
    """The row right after each context."""
    story: list[str]
    """Story id of each window."""

    @classmethod
    def cut(
        cls,
        frames: pa.Table,
        images: FeatureStore,
        texts: FeatureStore,
        story_ids: Sequence[str],
        k: int,
        mode: str,
    ) -> "StoryDataset":
        """Cut stories into windows of K context frames and one target.

        Args:
            frames: the frames table; a story's rows are adjacent and in story order.
            story_ids: the stories to cut, in the order that the windows shall have.
            k: context frames, at least 1.
            mode: `sliding` for every start, so that a story of n frames gives n - K windows;
                `first` for the one that starts with the story. A story of K frames or fewer gives
                none.

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
        story = np.repeat(np.array(story_ids, object), per_story).tolist()
        return cls(frames, images, texts, first[:, None] + np.arange(k), first + k, story)

    def __len__(self) -> int:
        return len(self.target)

    def select(self, windows: Sequence[int] | ndarray) -> "StoryDataset":
        """Some of the windows, in that order; one may be asked for more than once."""
        chosen = np.asarray(windows, np.int64)
        story = [self.story[i] for i in chosen.tolist()]
        return replace(self, context=self.context[chosen], target=self.target[chosen], story=story)

    # --- what is read of frames, given as rows of the table

    def captions(self, rows: Int64[ndarray, " m"]) -> list[str]:
        """Captions of frames."""
        taken: list[str] = self.frames.column("caption").take(pa.array(rows)).to_pylist()
        return taken

    def image_keys(self, rows: Int64[ndarray, " m"]) -> UInt8[ndarray, "m 32"]:
        """Content keys of frames' images."""
        return key_array(self.frames.column("image_key").take(pa.array(rows)))

    def text_keys(self, rows: Int64[ndarray, " m"]) -> UInt8[ndarray, "m 32"]:
        """Content keys of frames' captions."""
        return key_array(self.frames.column("caption_key").take(pa.array(rows)))

    def image_features(self, rows: Int64[ndarray, "*m"]) -> Float32[ndarray, "*m dim_image"]:
        """CLIP embeddings of frames' images. Raises UserError when one is missing."""
        found = self.images.lookup(self.image_keys(rows.reshape(-1)))
        return found.reshape(*rows.shape, self.images.dim)

    def text_features(self, rows: Int64[ndarray, "*m"]) -> Float32[ndarray, "*m dim_text"]:
        """CLIP embeddings of frames' captions. Raises UserError when one is missing."""
        found = self.texts.lookup(self.text_keys(rows.reshape(-1)))
        return found.reshape(*rows.shape, self.texts.dim)

    # --- what captions are written from

    def contexts(
        self,
        images: Float32[ndarray, "n k dim_image"] | None = None,
        texts: Float32[ndarray, "n k dim_text"] | None = None,
    ) -> Contexts:
        """The context of every window; `images` and `texts` if they have been read already."""
        n, k = self.context.shape
        flat = self.context.reshape(-1)
        captions = self.captions(flat)
        both = np.concatenate([self.image_keys(flat), self.text_keys(flat)], axis=1)
        return Contexts(
            self.story,
            self.image_features(self.context) if images is None else images,
            self.text_features(self.context) if texts is None else texts,
            [captions[i : i + k] for i in range(0, n * k, k)],
            [hashlib.sha256(row.tobytes()).digest() for row in both.reshape(n, -1)],
        )


def _stories(frames: pa.Table) -> tuple[list[str], ndarray, ndarray]:
    """Name, first row and number of rows of every story, in the table's order."""
    runs = pc.run_end_encode(frames.column("story_id").combine_chunks())
    names, ends = runs.values.to_pylist(), runs.run_ends.to_numpy()
    if len(set(names)) != len(names):
        raise ValueError("the frames table is not in story order")
    counts = np.diff(ends, prepend=0).astype(np.int64)
    return names, ends - counts, counts
