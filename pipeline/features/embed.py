"""Embed every frame or caption once: read ahead, encode, keep, publish.

The distinct contents of the frames table, in the order of their first occurrence, are cut into
chunks at fixed places. Of each chunk the rows that the encode cache lacks are encoded and kept
together, so that a killed run leaves whole chunks behind and the next one does exactly what would
have followed: which rows share a forward pass never depends on where a run was interrupted.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from pipeline.clip.folder import Modality
from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import UserError
from pipeline.common.progress import progress_bar
from pipeline.features.cache import EncodeCache
from pipeline.features.prefetch import prefetched
from pipeline.features.sources import RawImage, stream_captions, stream_images
from pipeline.features.store import SHARD_ROWS, KeyIndex, key_array, publish_shards
from pipeline.stories.frames import content_key, read_frames

Input = TypeVar("Input")
Item = TypeVar("Item")

Read = Callable[[np.ndarray, list[int]], Iterator[Input]]
"""Given rows of the frames table and the sizes of the chunks they fall into, streams what is to
be encoded; runs in a thread of its own."""
Encode = Callable[[Iterator[Input], int, Callable[[int], object]], np.ndarray]
"""Takes one chunk of the given size from the stream; returns float32 [size, D]."""

KEY_COLUMNS: dict[Modality, str] = {"image": "image_key", "text": "caption_key"}
CHUNK_BATCHES: dict[Modality, int] = {"image": 8, "text": 32}
"""Forward passes per cached chunk: some seconds to half a minute of work at full size."""
BATCHES_AHEAD = 2
"""Batches of images, or chunks of captions, that are read while another is encoded."""


@dataclass
class Embedded:
    """What one run did, and where its time went."""

    unit: str
    rows: int = 0
    """Frames of the dataset."""
    distinct: int = 0
    encoded: int = 0
    """Rows that the cache lacked."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by phase: waiting for input, encoding, keeping in the cache, publishing."""

    def __str__(self) -> str:
        phases = ", ".join(f"{name} {value:.1f} s" for name, value in self.seconds.items())
        return (
            f"{self.unit}: {self.rows} rows, {self.distinct} distinct, "
            f"{self.distinct - self.encoded} from the cache, {self.encoded} encoded ({phases})"
        )


def embed_images(clip: FrozenClip, raw: Path, frames: Path, out: Path) -> Embedded:
    """Embed the image of every frame and publish the shards.

    Args:
        clip: the frozen encoder.
        raw: folder of the raw stories.
        frames: the frames table, frames.parquet.
        out: folder for the shards; shards of an older run in it are replaced.

    Raises:
        UserError: if an image cannot be decoded (names story and frame), or inputs do not fit.
    """
    return _publish("image", clip, frames, out, *_image_input(clip, raw, frames))


def cache_images(clip: FrozenClip, raw: Path, frames: Path, keys: np.ndarray) -> EncodeCache:
    """Embed some images for no store of their own: the encode cache holds them afterwards.

    Args:
        keys: uint8 [N, 32], content keys of images; those that are no frame's are passed over.

    Returns:
        The cache, to read them from.

    Raises:
        UserError: as `embed_images`.
    """
    every = key_array(read_frames(frames, [KEY_COLUMNS["image"]]).column(0))
    first = _first_occurrences(every)
    rows = first[KeyIndex(keys).find(every[first]) >= 0]
    cache = EncodeCache("image", clip.fingerprint("image"))
    report = Embedded("frames", rows=len(keys), distinct=len(rows))
    _bring_up_to_date(
        "image", clip, cache, every[rows], rows, *_image_input(clip, raw, frames), report
    )
    return cache


def _image_input(
    clip: FrozenClip, raw: Path, frames: Path
) -> tuple[Read[np.ndarray], Encode[np.ndarray]]:
    """How images are read and encoded."""

    def pixels(image: RawImage) -> np.ndarray:
        where = f"image {image.frame_index + 1} of story {image.story_id}"
        if content_key(image.data) != image.key:
            raise UserError(f"{where} has changed since prepare; run dvc repro")
        try:
            return clip.preprocess(image.data)
        except UserError as error:
            raise UserError(f"{where}: {error}; run prepare again to set it aside") from error

    def chunks(rows: np.ndarray, sizes: list[int]) -> Iterator[np.ndarray]:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4
        images = stream_images(raw, frames, rows)
        with ThreadPoolExecutor(min(threads, 16)) as pool:  # Pillow lets go of Python's lock
            for size in sizes:
                for start in range(0, size, clip.batch_size):
                    batch = islice(images, min(clip.batch_size, size - start))
                    yield np.stack(list(pool.map(pixels, batch)))

    def encode(
        inputs: Iterator[np.ndarray], size: int, progress: Callable[[int], object]
    ) -> np.ndarray:
        parts = []
        for _ in range(0, size, clip.batch_size):
            parts.append(clip.encode_images(next(inputs)))
            progress(len(parts[-1]))
        return np.concatenate(parts)

    return chunks, encode


def embed_texts(clip: FrozenClip, frames: Path, out: Path) -> Embedded:
    """Embed the caption of every frame and publish the shards; arguments as of `embed_images`."""

    def chunks(rows: np.ndarray, sizes: list[int]) -> Iterator[list[str]]:
        captions = stream_captions(frames, rows)
        for size in sizes:
            yield list(islice(captions, size))

    def encode(
        inputs: Iterator[list[str]], size: int, progress: Callable[[int], object]
    ) -> np.ndarray:
        return clip.encode_texts(next(inputs), progress)

    return _publish("text", clip, frames, out, chunks, encode)


def _publish(
    modality: Modality,
    clip: FrozenClip,
    frames: Path,
    out: Path,
    read: Read[Input],
    encode: Encode[Input],
) -> Embedded:
    """Bring the cache up to date and publish from it."""
    keys = key_array(read_frames(frames, [KEY_COLUMNS[modality]]).column(0))
    if not len(keys):
        raise UserError(f"{frames} has no frames; see what prepare put into the quarantine")
    report = Embedded({"image": "frames", "text": "captions"}[modality], rows=len(keys))
    first = _first_occurrences(keys)
    keys = keys[first]
    report.distinct = len(keys)

    fingerprint = clip.fingerprint(modality)
    cache = EncodeCache(modality, fingerprint)
    _bring_up_to_date(modality, clip, cache, keys, first, read, encode, report)

    started = time.perf_counter()
    starts = range(0, len(keys), SHARD_ROWS)
    shards = (keys[start : start + SHARD_ROWS] for start in starts)
    attributes = {**clip.settings(modality), "fingerprint": fingerprint}
    publish_shards(out, ((part, cache.read(part)) for part in shards), attributes)
    report.seconds["published"] = time.perf_counter() - started
    return report


def _bring_up_to_date(
    modality: Modality,
    clip: FrozenClip,
    cache: EncodeCache,
    keys: np.ndarray,
    frame_rows: np.ndarray,
    read: Read[Input],
    encode: Encode[Input],
    report: Embedded,
) -> None:
    """Encode those of distinct `keys` [N, 32], at `frame_rows` [N], that the cache lacks."""
    cache.scan()
    missing = ~cache.contains(keys)
    report.encoded = int(missing.sum())
    if report.encoded:
        _encode_missing(modality, clip, cache, keys, frame_rows, missing, read, encode, report)
        cache.scan()


def _encode_missing(
    modality: Modality,
    clip: FrozenClip,
    cache: EncodeCache,
    keys: np.ndarray,
    frame_rows: np.ndarray,
    missing: np.ndarray,
    read: Read[Input],
    encode: Encode[Input],
    report: Embedded,
) -> None:
    chunk_rows = clip.batch_size * CHUNK_BATCHES[modality]
    starts = range(0, len(keys), chunk_rows)
    parts = [start + np.flatnonzero(missing[start : start + chunk_rows]) for start in starts]
    parts = [part for part in parts if len(part)]
    inputs = read(frame_rows[missing], [len(part) for part in parts])
    spent = {"waited": 0.0, "encoded": 0.0, "kept": 0.0}

    with (
        prefetched(inputs, BATCHES_AHEAD) as ready,
        progress_bar(total=report.encoded, unit=report.unit) as bar,
    ):
        timed = _Timed(ready)
        for part in parts:
            started, waited = time.perf_counter(), timed.seconds
            embeddings = encode(timed, len(part), bar.update)
            encoded = time.perf_counter()
            cache.add(keys[part], embeddings)
            spent["encoded"] += encoded - started - (timed.seconds - waited)
            spent["kept"] += time.perf_counter() - encoded
        spent["waited"] = timed.seconds
    report.seconds.update(spent)


def _first_occurrences(keys: np.ndarray) -> np.ndarray:
    """Rows of uint8 [N, 32] that differ from all before them, ascending: int64 [distinct]."""
    _, first = np.unique(keys.view("S32").reshape(-1), return_index=True)
    return np.sort(first)


class _Timed(Generic[Item]):
    """An iterator that adds up how long its consumer waited for it."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        started = time.perf_counter()
        try:
            return next(self._items)
        finally:
            self.seconds += time.perf_counter() - started
