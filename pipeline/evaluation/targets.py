"""What captions are scored against: target images, and the frames that they stand among."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.judge import Judge
from pipeline.evaluation.ranks import ranks
from pipeline.evaluation.stories import SplitStories


@dataclass(frozen=True)
class SplitTargets:
    """All targets of a split: the one thing of a vector's size that is held for every story."""

    images: NDArray[np.float32]
    """[N, D]."""
    content: NDArray[np.int64]
    """Number of each image's content, [N]."""

    @classmethod
    def of(cls, stories: SplitStories) -> "SplitTargets":
        rows = stories.windows.target
        return cls(stories.windows.image_features(rows), stories.image_contents(rows))


@dataclass(frozen=True)
class StoryFrames:
    """All frames of some stories, one story after the other."""

    images: NDArray[np.float32]
    """[F, D]."""
    content: NDArray[np.int64]
    """[F]."""
    sizes: NDArray[np.int64]
    """Frames of each story, [N]."""
    target: NDArray[np.int64]
    """Number of the target within its story, [N]."""

    @classmethod
    def of(cls, stories: SplitStories) -> "StoryFrames":
        first = stories.windows.context[:, 0]
        rows = np.concatenate(
            [np.arange(start, start + n) for start, n in zip(first, stories.sizes, strict=True)]
        )
        return cls(
            stories.windows.image_features(rows),
            stories.image_contents(rows),
            stories.sizes,
            stories.windows.target - first,
        )

    def ranks(self, queries: NDArray[np.floating]) -> NDArray[np.int64]:
        """Place of each story's target among its frames, for a query each, [N, D]: [N]."""
        found = np.empty(len(queries), np.int64)
        ends = np.cumsum(self.sizes)
        for i, (start, end) in enumerate(zip(ends - self.sizes, ends, strict=True)):
            here, own = slice(start, end), self.target[i : i + 1]
            found[i] = ranks(queries[i : i + 1], self.images[here], own, self.content[here])[0]
        return found


@dataclass(frozen=True)
class PoolTargets:
    """The targets of N stories of a split, and their true captions."""

    captions: list[str]
    place: NDArray[np.int64]
    """Number of each target within the split, [N]."""
    judge_images: NDArray[np.float32] | None
    """[N, D of the judge]."""
    frames: StoryFrames
    split: SplitTargets

    @classmethod
    def of(cls, stories: SplitStories, split: SplitTargets, judge: Judge | None) -> "PoolTargets":
        windows = stories.windows
        return cls(
            windows.captions(windows.target),
            stories.place,
            None if judge is None else judge.images(windows.image_keys(windows.target)),
            StoryFrames.of(stories),
            split,
        )

    @property
    def images(self) -> NDArray[np.float32]:
        """[N, D]."""
        return self.split.images[self.place]
