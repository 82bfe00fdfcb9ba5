"""What embedding so many frames would take: hours, storage, files, memory and money.

Rates are measured by running the embedding jobs themselves on the stories at hand, or given; sizes
follow from the format of the shards. Everything is counted as if no two frames were equal, and
nothing for starting machines or for a storage that cannot keep up.
"""

import math
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.clip.frozen import FrozenClip
from pipeline.common.keys import KEY_BYTES
from pipeline.features.embed import distinct_contents
from pipeline.features.jobs import BATCHES_AHEAD, EmbeddingJob, ImageJob, TextJob
from pipeline.features.prefetch import prefetched
from pipeline.features.sources import stream_images
from pipeline.features.store import SHARD_ROWS

FLOAT16, FLOAT32 = 2, 4
"""Bytes of a number in a shard, and in the memory of training."""
SHARD_OVERHEAD = 8192
"""Bytes of a shard besides its rows, rounded up: checksum, attributes and what HDF5 adds."""
EMBED_BYTES = 250
"""Of memory that embed holds for each frame of the dataset: its key, and copies of it in order."""
TRAIN_BYTES = 3000
"""Of memory that train takes for each frame besides embeddings, which is tokens and what they come
from; measured with K = 4 and captions of 80 words."""
IMAGES_MEASURED = 256
"""Whose bytes are averaged."""


@dataclass(frozen=True)
class Rates:
    """Of one worker: rows a second from bytes in a parquet file to unit vectors."""

    images: float
    captions: float


@dataclass(frozen=True)
class Plan:
    """What a dataset of so many frames would take."""

    frames: int
    workers: int
    rates: Rates
    image_hours: float
    """Wall time of all workers together."""
    caption_hours: float
    raw_bytes: float
    """Encoded images."""
    feature_bytes: float
    """Published shards of both modalities; the encode cache holds as much again."""
    files: int
    """Published shards of both modalities."""
    chunks: int
    """Files in the encode cache, before they are compacted."""
    chunk_seconds: float
    """What a worker that is killed may lose, at most."""
    embed_bytes: float
    """Memory of each process that embeds, besides the model and its batches."""
    train_bytes: float
    """Memory of each process that trains, besides the model and its batches."""
    price: float | None
    """Of both modalities together, in the currency of the price of an hour."""


def make_plan(
    frames: int,
    workers: int,
    rates: Rates,
    image_bytes: float,
    dim: int,
    batch_size: int,
    price_per_hour: float | None = None,
) -> Plan:
    """What `frames` frames take by so many workers.

    Args:
        image_bytes: of an encoded image.
        dim: D, the width of an embedding.
        batch_size: images in a forward pass.
        price_per_hour: of one worker.
    """
    seconds = [frames / workers / rate for rate in (rates.images, rates.captions)]
    hours = sum(seconds) / 3600
    chunks = [job.chunk_batches * batch_size for job in (ImageJob, TextJob)]
    shards = math.ceil(frames / SHARD_ROWS)
    return Plan(
        frames=frames,
        workers=workers,
        rates=rates,
        image_hours=seconds[0] / 3600,
        caption_hours=seconds[1] / 3600,
        raw_bytes=frames * image_bytes,
        feature_bytes=2 * (frames * (KEY_BYTES + FLOAT16 * dim) + shards * SHARD_OVERHEAD),
        files=2 * shards,
        chunks=sum(math.ceil(frames / rows) for rows in chunks),
        chunk_seconds=max(chunks[0] / rates.images, chunks[1] / rates.captions),
        embed_bytes=frames * EMBED_BYTES,
        train_bytes=frames * (2 * FLOAT32 * dim + TRAIN_BYTES),
        price=None if price_per_hour is None else hours * workers * price_per_hour,
    )


def measure_rates(clip: FrozenClip, raw: Path, frames: Path, seconds: float) -> Rates:
    """Embed for so many seconds of each modality, and keep nothing.

    Raises:
        UserError: if there are no stories, or they cannot be read.
    """
    keys, rows, _ = distinct_contents(frames, "image_key")
    images = ImageJob(clip, keys, rows, frames, raw)
    keys, rows, _ = distinct_contents(frames, "caption_key")
    texts = TextJob(clip, keys, rows, frames)
    return Rates(_rate(images, seconds), _rate(texts, seconds))


def mean_image_bytes(raw: Path, frames: Path) -> float:
    """Of an encoded image of the stories at hand, by the first `IMAGES_MEASURED`.

    Raises:
        UserError: if there are no stories, or they cannot be read.
    """
    _, rows, _ = distinct_contents(frames, "image_key")
    images = stream_images(raw, frames, rows[:IMAGES_MEASURED])
    return float(np.mean([len(image.data) for image in images]))


def _rate(job: EmbeddingJob, seconds: float) -> float:
    """Rows a second, counted after the first batch, in which weights are loaded."""

    def again_and_again() -> Generator[Any, None, None]:
        size = job.clip.batch_size * job.chunk_batches
        while True:
            yield from job.read([job.rows[i : i + size] for i in range(0, len(job.rows), size)])

    with prefetched(again_and_again(), BATCHES_AHEAD) as batches:
        job.encode(next(batches), lambda count: None)
        done, started = 0, time.perf_counter()
        while (passed := time.perf_counter() - started) < seconds:
            done += len(job.encode(next(batches), lambda count: None))
        return done / passed
