"""Batches: every window once, the same for the same seed, little padding."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataset.batching import epoch_batches, ordered_batches

Lengths = st.lists(st.integers(1, 200), min_size=1, max_size=300).map(np.array)


@given(Lengths, st.integers(1, 20), st.integers(0, 2**32 - 1), st.integers(0, 5))
@settings(max_examples=80, deadline=None)
def test_every_window_exactly_once(
    lengths: np.ndarray, batch_size: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(lengths, batch_size, seed, epoch)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert all(0 < len(batch) <= batch_size for batch in batches)
    assert len(batches) == -(-len(lengths) // batch_size)
    again = epoch_batches(lengths, batch_size, seed, epoch)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


def test_epochs_and_seeds_differ() -> None:
    lengths = np.arange(100)
    first = np.concatenate(epoch_batches(lengths, 8, 0, 0))
    assert not np.array_equal(first, np.concatenate(epoch_batches(lengths, 8, 0, 1)))
    assert not np.array_equal(first, np.concatenate(epoch_batches(lengths, 8, 1, 0)))


def test_buckets_pad_less_than_chance() -> None:
    lengths = np.random.default_rng(0).integers(100, 260, size=2000)

    def padded(batches: list[np.ndarray]) -> int:
        return sum(len(batch) * lengths[batch].max() for batch in batches)

    waste = padded(epoch_batches(lengths, 16, 0, 0)) / lengths.sum() - 1
    assert waste < 0.05 < padded(ordered_batches(len(lengths), 16)) / lengths.sum() - 1


@given(st.integers(0, 50), st.integers(1, 9))
def test_ordered(n: int, batch_size: int) -> None:
    assert [i for batch in ordered_batches(n, batch_size) for i in batch] == list(range(n))
