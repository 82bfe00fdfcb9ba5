"""Reference rows: captions that nobody had to predict, scored the same way as the model's.

A score alone says little, since CLIP gives a fair cosine to any caption of the same film. Each
reference row is a choice of one frame per story, whose caption stands in for the prediction.
"""

import numpy as np
from numpy.typing import NDArray

GROUND_TRUTH = "ground_truth"
"""The target frame's own caption: the ceiling of an honest model."""
SHUFFLED = "shuffled"
"""The target caption of another story: the floor."""
COPY_LAST = "copy_last"
"""The caption of the last context frame: what a model gets for not predicting at all."""


def derangement(count: int, seed: int) -> NDArray[np.int64]:
    """A random permutation of `count` items that moves every one of them, the same for a seed.

    Sattolo's algorithm (1986): one cycle through all items, hence no fixed point.

    Returns:
        int64 [count].

    Raises:
        ValueError: for one item, which cannot move.
    """
    if count == 1:
        raise ValueError("one item alone has no derangement")
    random = np.random.default_rng(seed)
    order = np.arange(count, dtype=np.int64)
    for last in range(count - 1, 0, -1):
        other = int(random.integers(last))
        order[last], order[other] = order[other], order[last]
    return order


def reference_frames(
    context: NDArray[np.int64], target: NDArray[np.int64], others_target: NDArray[np.int64] | None
) -> dict[str, NDArray[np.int64]]:
    """The frame whose caption each reference row uses.

    Args:
        context: rows of the frames table, int64 [N, K]. target: int64 [N].
        others_target: the target of another story for each, int64 [N]; without it no such row.

    Returns:
        reference name -> rows of the frames table, int64 [N].
    """
    frames = {GROUND_TRUTH: target, COPY_LAST: context[:, -1]}
    if others_target is not None:
        frames[SHUFFLED] = others_target
    return frames
