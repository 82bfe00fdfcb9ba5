"""The caption cache: what a generator has sampled, kept outside DVC until nobody wants it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.captioning.generate import story_seeds
from pipeline.captioning.sampler import Sampler, sample_key
from pipeline.captioning.samples import Samples, open_samples, write_samples
from pipeline.common.chunks import ChunkCache
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
    rows = [i for i in range(len(contexts)) for _ in range(per_story)]
    seeds = story_seeds(seed, contexts.story, per_story)
    keys = [sample_key(contexts.keys[i], s) for i, s in zip(rows, seeds, strict=True)]
    chunk = CHUNK_BATCHES * sampler.params.batch_size
    done = cache.readable(keys)
    with progress_bar(desc="captions", total=len(keys), initial=done.sum(), unit="caption") as bar:
        for start in range(0, len(keys), chunk):
            missing = start + np.flatnonzero(~done[start : start + chunk])
            if len(missing):
                wanted = contexts.take([rows[i] for i in missing])
                cache.add(sampler.sample(wanted, [seeds[i] for i in missing], bar.update))
    return cache.read(keys)
