"""Which windows make a batch, and in which order: a function of lengths, seed and epoch."""

import numpy as np
from numpy.typing import NDArray

POOL_BATCHES = 16
"""Batches whose windows are sorted by length together. More would pad less and mix less."""


def epoch_batches(
    lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Shuffled batches of windows of similar length, every window exactly once.

    Windows are shuffled, cut into pools of `POOL_BATCHES` batches, sorted by length within a pool,
    cut into batches, and the batches are shuffled: little padding, and other neighbours in every
    epoch.

    Args:
        lengths: tokens of each window, [N].

    Returns:
        Arrays of window numbers; all but the last of a pool hold `batch_size`.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), POOL_BATCHES * batch_size):
        pool = order[start : start + POOL_BATCHES * batch_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def ordered_batches(n: int, batch_size: int) -> list[NDArray[np.int64]]:
    """Windows 0 to n - 1 in order, for validation."""
    return [np.arange(i, min(i + batch_size, n)) for i in range(0, n, batch_size)]
