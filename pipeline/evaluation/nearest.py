"""The training caption nearest to a predicted text embedding: retrieval in place of a decoder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.evaluation.ranks import unit
from pipeline.features.store import FeatureStore, key_array
from pipeline.stories.frames import open_frames

FRAMES_AT_A_TIME = 4096
QUERIES_AT_A_TIME = 1024


def nearest_captions(
    queries: NDArray[np.floating], frames: Path, stories: Sequence[str], texts: FeatureStore
) -> list[str] | None:
    """For each query the caption nearest by cosine among all frames of some stories.

    The frames table passes in batches: what is held is a batch, and one caption a query.

    Args:
        queries: [N, D], of any length.
        frames: the frames table, frames.parquet.
        stories: ids of the stories to take captions from.
        texts: their features; UserError when one is missing.

    Returns:
        N captions, the first in the table among equally near ones; None without any frame.
    """
    queries = unit(queries)
    best = np.full(len(queries), -np.inf, np.float32)
    captions = [""] * len(queries)
    chosen = pa.array(stories, pa.string())
    columns = ["story_id", "caption", "caption_key"]
    with open_frames(frames, columns) as file:
        for batch in file.iter_batches(FRAMES_AT_A_TIME, columns=columns, use_threads=False):
            batch = batch.filter(pc.is_in(batch.column("story_id"), chosen))
            if not len(batch):
                continue
            candidates = unit(texts.lookup(key_array(batch.column("caption_key"))))
            for start in range(0, len(queries), QUERIES_AT_A_TIME):
                here = slice(start, start + QUERIES_AT_A_TIME)
                cosines = queries[here] @ candidates.T
                place = cosines.argmax(axis=1)
                found = np.take_along_axis(cosines, place[:, None], axis=1)[:, 0]
                better = np.flatnonzero(found > best[here])
                best[here][better] = found[better]
                for i in better.tolist():
                    captions[start + i] = batch.column("caption")[int(place[i])].as_py()
    return captions if np.isfinite(best).all() else None
