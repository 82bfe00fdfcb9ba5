"""Rows: the model's captions, and those that nobody had to predict, all scored the same way.

A score alone says little, since CLIP gives a fair cosine to any caption of the same film. Most
reference rows are a choice of one frame per story, whose caption stands in for the prediction.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MODEL = "model"
GROUND_TRUTH = "ground_truth"  # the ceiling of an honest model
SHUFFLED = "shuffled"  # the floor
SAME_STORY = "same_story"  # drawn at random: knows the story, not the moment
COPY_LAST = "copy_last"  # what a model gets for not predicting at all
COPY_BEFORE_LAST = "copy_before_last"  # often the nearer one, since films cut to and fro
NEAREST_TRAIN = "nearest_train"  # nearest to the predicted text embedding: retrieval, no decoder
NO_PREFIX = "no_prefix"  # what the words alone give


class Row(NamedTuple):
    """A row in words: its name in a sentence, and what its captions are."""

    name: str
    meaning: str


ROWS = {
    MODEL: Row("the model", "what this project trained"),
    GROUND_TRUTH: Row("the true caption", "written by a person for this very frame"),
    SHUFFLED: Row("another story’s caption", "a true caption, of the wrong story"),
    SAME_STORY: Row("another frame’s caption", "true, but of another frame of the same story"),
    COPY_LAST: Row("a copy of the last caption", "the caption of the frame just before"),
    COPY_BEFORE_LAST: Row("a copy of the last but one", "two frames before; films cut back"),
    NEAREST_TRAIN: Row("the nearest training caption", "looked up, not written"),
    NO_PREFIX: Row("the model blindfolded", "the decoder with its prompt, without what CLIP saw"),
}
"""In the order of metrics_full.json."""
GENERATED = (MODEL, NO_PREFIX)
"""Rows that the decoder writes."""


def row_name(row: str) -> str:
    """A row's name in a sentence; an unknown row keeps its own."""
    return ROWS[row].name if row in ROWS else row.replace("_", " ")


def derangement(count: int, seed: int) -> NDArray[np.int64]:
    """A random permutation of `count` items that moves every one of them, the same for a seed.

    Sattolo's algorithm (1986): one cycle through all items, hence no fixed point. Raises ValueError
    for one item, which cannot move.
    """
    if count == 1:
        raise ValueError("one item alone has no derangement")
    random = np.random.default_rng(seed)
    order = np.arange(count, dtype=np.int64)
    for last in range(count - 1, 0, -1):
        other = int(random.integers(last))
        order[last], order[other] = order[other], order[last]
    return order


def other_members(
    size: NDArray[np.int64], excluded: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """Of each group one member at random that is not the excluded one, the same for a seed.

    Args:
        size: members of each group, at least 2, [N].
        excluded: number within its group, [N].
    """
    # A stream of its own: with the plain seed it would repeat the derangement's draws.
    drawn = np.random.default_rng([seed, 1]).integers(size - 1)
    return drawn + (drawn >= excluded)


def reference_frames(
    context: NDArray[np.int64],
    target: NDArray[np.int64],
    same_story: NDArray[np.int64],
    others_target: NDArray[np.int64] | None,
) -> dict[str, NDArray[np.int64]]:
    """The frame whose caption each reference row uses: name -> [N], in rows of the frames table.

    Args:
        context: [N, K]; of a single frame there is no `copy_before_last`. target: [N].
        same_story: another frame of each story, [N].
        others_target: the target of another story for each, [N]; without it no such row.
    """
    frames = {GROUND_TRUTH: target, SAME_STORY: same_story, COPY_LAST: context[:, -1]}
    if context.shape[1] > 1:
        frames[COPY_BEFORE_LAST] = context[:, -2]
    if others_target is not None:
        frames[SHUFFLED] = others_target
    return frames
