"""`python -m benchmarks.metrics`: all metrics of many captions from cached embeddings.

As many stories as the test split of StoryReasoning has, and ten rows of captions of 80 words in
five sentences. Embeddings are random and lie in an encode cache of their own, which the encoder
stands behind for show: it is never asked. What is measured is everything between captions and the
finished summary: reading the cache, cosines, ranks, word overlap, diversity, bootstrap.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from pipeline.evaluation.metrics import Columns
from pipeline.evaluation.references import ROWS
from pipeline.evaluation.scorer import CaptionScorer, sentences
from pipeline.evaluation.scores import CAPTION_POOL, score_rows
from pipeline.evaluation.stories import pools
from pipeline.evaluation.summary import summarise
from pipeline.evaluation.targets import PoolTargets, SplitTargets, StoryFrames
from pipeline.features.cache import EncodeCache
from pipeline.stories.frames import content_key

STORIES, CAPTION_ROWS, DIM = 626, 10, 512
SENTENCES, WORDS_PER_SENTENCE, VOCABULARY = 5, 16, 8000
FRAMES_PER_STORY = 12
TEXTS_PER_FILE = 2048


def main() -> None:
    """Measure and print; every cost that depends on the machine is in seconds of wall time."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--stories", type=int, default=STORIES)
    parser.add_argument("--rows", type=int, default=CAPTION_ROWS)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="metrics-") as folder:
        os.environ["STORYCACHE_HOME"] = folder
        clips = [_silent_clip(name) for name in ("clip", "judge")]
        targets = SplitTargets(_unit(random, arguments.stories), np.arange(arguments.stories))
        rows = list(ROWS) + [f"row {i}" for i in range(len(ROWS), arguments.rows)]
        parts: list[dict[str, Columns]] = []
        seconds = 0.0
        for start, stop in pools(arguments.stories, CAPTION_POOL):
            captions = {row: _captions(random, stop - start) for row in rows[: arguments.rows]}
            pool = _pool(random, targets, start, stop, captions["ground_truth"])
            _fill_cache(random, clips, captions)
            started = time.perf_counter()
            scorer, judge = (CaptionScorer(clip, "") for clip in clips)
            parts.append(score_rows(captions, pool, scorer, judge))
            seconds += time.perf_counter() - started
        started = time.perf_counter()
        columns = {
            row: {name: np.concatenate([part[row][name] for part in parts]) for name in of}
            for row, of in parts[0].items()
        }
        summarise(columns, {}, arguments.stories, seed=0)
        bootstrap = time.perf_counter() - started
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes there, KiB on Linux
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    print(f"{arguments.stories} stories x {arguments.rows} rows, {os.cpu_count()} cores")
    print(
        f"scores {seconds:.1f} s, bootstrap {bootstrap:.1f} s, together {seconds + bootstrap:.1f} s"
    )
    print(f"peak memory {peak:.0f} MB")


def _silent_clip(name: str) -> Any:
    """What a scorer asks of a CLIP whose texts are all in the cache."""
    return SimpleNamespace(
        dim=DIM,
        batch_size=64,
        fingerprint=lambda modality: f"{name:0<64}",
        settings=lambda modality: {"model": name},
    )


def _pool(
    random: np.random.Generator, targets: SplitTargets, start: int, stop: int, true: list[str]
) -> PoolTargets:
    count = stop - start
    images = _unit(random, count * FRAMES_PER_STORY)
    return PoolTargets(
        true,
        np.arange(start, stop),
        _unit(random, count),
        StoryFrames(
            images,
            np.arange(len(images)),
            np.full(count, FRAMES_PER_STORY),
            np.full(count, 4),
        ),
        targets,
    )


def _captions(random: np.random.Generator, count: int) -> list[str]:
    """Words as common as in a language: the second half as often as the first, and so on."""
    drawn = random.zipf(1.3, (count, SENTENCES, WORDS_PER_SENTENCE)) % VOCABULARY
    return [
        " ".join(" ".join(f"w{word}" for word in sentence) + "." for sentence in story)
        for story in drawn.tolist()
    ]


def _fill_cache(
    random: np.random.Generator, clips: list[Any], captions: dict[str, list[str]]
) -> None:
    whole = [text for texts in captions.values() for text in texts]
    texts = list(dict.fromkeys([*whole, *(part for text in whole for part in sentences(text))]))
    keys = np.stack([np.frombuffer(content_key(text.encode()), np.uint8) for text in texts])
    for clip in clips:
        cache = EncodeCache("text", clip.fingerprint("text"))
        for start in range(0, len(texts), TEXTS_PER_FILE):
            part = keys[start : start + TEXTS_PER_FILE]
            cache.add(part, _unit(random, len(part)))


def _unit(random: np.random.Generator, count: int) -> np.ndarray:
    rows = random.normal(size=(count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
