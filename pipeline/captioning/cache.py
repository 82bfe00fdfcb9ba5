"""The caption cache: what a generator has sampled, kept outside DVC until nobody wants it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.captioning.generate import story_seeds
from pipeline.captioning.sampler import Sampler, sample_key
from pipeline.captioning.samples import Samples, open_samples, write_samples
from pipeline.common.chunks import ChunkCache
from pipeline.common.parts import WHOLE, Part
from pipeline.common.progress import progress_bar
from pipeline.dataset.story_dataset import Contexts

CHUNK_BATCHES = 2
"""Batches of captions between two files: what a kill can lose."""


class CaptionCache(ChunkCache[Samples]):
    """The samples of one generator under one setting: `$STORYCACHE_HOME/captions/<fingerprint>`."""

    def open_chunk(self, path: Path) -> tuple[np.ndarray, Samples]:
        samples, _ = open_samples(path)
        return samples.key, samples

    def add(self, samples: Samples) -> None:
        """Keep a finished chunk. Raises UserError if the cache cannot be written to."""
        with self.adding(samples.key) as path:
            write_samples(path, samples, {})

    def read(self, keys: Sequence[bytes]) -> Samples:
        """The samples of keys that are there, in their order; at least one key."""
        found = list(self.find(keys))
        places = np.concatenate([here for _, here, _ in found])
        samples = Samples.join([chunk.take(rows) for chunk, _, rows in found])
        return samples.take(np.argsort(places))


def sample_once(
    sampler: Sampler, contexts: Contexts, per_story: int, seed: int, cache: CaptionCache
) -> Samples:
    """`per_story` samples of each context, in order; only those that the cache lacks are written.

    Sample i of a story depends on the generator, the story, `seed` and i alone.
    """
    keys, _ = write_missing(sampler, contexts, per_story, seed, cache)
    return cache.read(keys)


def write_missing(
    sampler: Sampler,
    contexts: Contexts,
    per_story: int,
    seed: int,
    cache: CaptionCache,
    part: Part = WHOLE,
) -> tuple[list[bytes], int]:
    """Write what the cache lacks of a part of these samples, in whole chunks at fixed places.

    Returns:
        The keys of all the samples, in order, and how many were written.
    """
    rows = [i for i in range(len(contexts)) for _ in range(per_story)]
    seeds = story_seeds(seed, contexts.story, per_story)
    keys = [sample_key(contexts.keys[i], s) for i, s in zip(rows, seeds, strict=True)]
    share, chunks = cache.missing(keys, CHUNK_BATCHES * sampler.params.batch_size, part)
    written = sum(map(len, chunks))
    initial = share - written
    with progress_bar(desc="captions", total=share, initial=initial, unit="caption") as bar:
        for missing in chunks:
            wanted = contexts.take([rows[i] for i in missing])
            cache.add(sampler.sample(wanted, [seeds[i] for i in missing], bar.update))
    return keys, written
