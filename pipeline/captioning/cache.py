"""The caption cache: what a generator has sampled, kept outside DVC until nobody wants it.

A folder of HDF5 files under `$STORYCACHE_HOME/captions/<fingerprint>`, append-only: each holds one
chunk and appears when it is complete, so that a killed run goes on where it was and a caption is
never written twice. It may be deleted at any time.
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.captioning.generate import story_seed
from pipeline.captioning.sampler import Sampler, sample_key
from pipeline.captioning.samples import Samples, read_samples, write_samples
from pipeline.common.errors import UserError
from pipeline.common.home import in_home
from pipeline.common.progress import progress_bar
from pipeline.dataset.story_dataset import Contexts

CHUNK_BATCHES = 2
"""Batches of captions between two files: what a kill can lose."""


class CaptionCache:
    """The samples of one generator under one setting."""

    def __init__(self, folder: Path):
        """Read what is there; a file that cannot be read is told on stderr and left out."""
        self.folder = folder
        self._samples: list[Samples] = []
        self._place: dict[bytes, tuple[int, int]] = {}
        for path in sorted(folder.glob("*.h5")):
            try:
                self._remember(read_samples(path)[0])
            except UserError as error:
                print(f"warning: ignoring a file of the caption cache: {error}", file=sys.stderr)

    def __contains__(self, key: bytes) -> bool:
        return key in self._place

    def add(self, samples: Samples) -> None:
        """Keep a finished chunk. Raises UserError if the cache cannot be written to."""
        name = hashlib.sha256(samples.key.tobytes()).hexdigest()[:32]
        with in_home():
            write_samples(self.folder / f"{name}.h5", samples, {})
        self._remember(samples)

    def read(self, keys: Sequence[bytes]) -> Samples:
        """The samples of keys that are there, in their order; at least one key."""
        places = [self._place[key] for key in keys]
        return Samples.join([self._samples[number].take([row]) for number, row in places])

    def _remember(self, samples: Samples) -> None:
        number = len(self._samples)
        self._samples.append(samples)
        for i, key in enumerate(samples.key):
            self._place.setdefault(key.tobytes(), (number, i))


def sample_once(
    sampler: Sampler, contexts: Contexts, per_story: int, seed: int, cache: CaptionCache
) -> Samples:
    """`per_story` samples of each context, in order; only those that the cache lacks are written.

    Sample i of a story depends on the generator, the story, `seed` and i alone.
    """
    rows = [i for i in range(len(contexts)) for _ in range(per_story)]
    seeds = [story_seed(seed, f"{story}/{i}") for story in contexts.story for i in range(per_story)]
    keys = [sample_key(contexts.keys[i], s) for i, s in zip(rows, seeds, strict=True)]
    chunk = CHUNK_BATCHES * sampler.params.batch_size
    done = sum(key in cache for key in keys)
    with progress_bar(desc="captions", total=len(keys), initial=done, unit="caption") as bar:
        for start in range(0, len(keys), chunk):
            missing = [
                i for i in range(start, min(start + chunk, len(keys))) if keys[i] not in cache
            ]
            if missing:
                wanted = contexts.take([rows[i] for i in missing])
                cache.add(sampler.sample(wanted, [seeds[i] for i in missing], bar.update))
    return cache.read(keys)
