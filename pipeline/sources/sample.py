"""The sample as a source: stories that are drawn and written as they are asked for."""

import functools

from pipeline.sources.source import Source
from pipeline.stories.schema import SPLITS
from pipeline.storyworld.rows import sample_rows


def sample_stories(stories: int, seed: int) -> Source:
    """So many stories of the world of this seed, train and test together."""
    rows = {split: functools.partial(sample_rows, stories, seed, split) for split in SPLITS}
    return Source(rows, lambda: {"source": "sample", "stories": stories, "seed": seed})
