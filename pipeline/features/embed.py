"""Embeddings of frames, captions and texts: each content is encoded once, whoever asks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float16, Int64

from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import UserError
from pipeline.common.keys import KeyIndex, Keys, as_keys
from pipeline.common.parts import Part
from pipeline.features.cache import EncodeCache
from pipeline.features.jobs import EmbeddingJob, ImageJob, Progress, Report, TextJob, encode_cache
from pipeline.features.store import SHARD_ROWS, key_array, publish_shards
from pipeline.stories.frames import content_key, read_frames

Engine = Literal["local", "ray"]


def embed_images(
    clip: FrozenClip,
    raw: Path,
    frames: Path,
    out: Path,
    part: Part | None = None,
    engine: Engine = "local",
) -> Report:
    """Embed the image of every frame and publish the shards.

    Args:
        clip: the frozen encoder.
        raw: folder of the raw stories.
        frames: the frames table, frames.parquet.
        out: folder for the shards; shards of an older run in it are replaced.
        part: bring this part into the encode cache, in this process, and publish nothing.
        engine: what encodes, where no part is asked for; see `EmbedParams`.

    Raises:
        UserError: if an image cannot be decoded (names story and frame), or inputs do not fit.
    """
    keys, rows, count = distinct_contents(frames, "image_key")
    return _run(ImageJob(clip, keys, rows, frames, raw), count, out, part, engine)


def embed_texts(
    clip: FrozenClip,
    frames: Path,
    out: Path,
    part: Part | None = None,
    engine: Engine = "local",
) -> Report:
    """Embed the caption of every frame and publish the shards; arguments as of `embed_images`."""
    keys, rows, count = distinct_contents(frames, "caption_key")
    return _run(TextJob(clip, keys, rows, frames), count, out, part, engine)


def cache_images(clip: FrozenClip, raw: Path, frames: Path, keys: Keys) -> EncodeCache:
    """Embed some images for no store of their own: the encode cache holds them afterwards.

    Args:
        keys: content keys of images; those that are no frame's are passed over.

    Returns:
        The cache, to read them from.

    Raises:
        UserError: as `embed_images`.
    """
    every, rows, _ = distinct_contents(frames, "image_key")
    wanted = KeyIndex(keys).find(every) >= 0
    job = ImageJob(clip, every[wanted], rows[wanted], frames, raw)
    cache = job.cache()
    job.update(cache)
    return cache


class CachedTexts:
    """A frozen CLIP's text tower in front of the encode cache, for texts of any origin."""

    def __init__(self, clip: FrozenClip) -> None:
        self.clip = clip
        self._cache: EncodeCache | None = None

    def embed(
        self, texts: Sequence[str], progress: Progress | None = None
    ) -> Float16[np.ndarray, "n d"]:
        """Embeddings of different texts, of unit norm.

        Args:
            progress: called with numbers of texts that were encoded.

        Raises:
            UserError: if the cache cannot be written to.
        """
        if not texts:
            return np.zeros((0, self.clip.dim), np.float16)
        keys = as_keys([content_key(text.encode()) for text in texts])
        if self._cache is None:
            self._cache = encode_cache(self.clip, "text")
        rows = np.flatnonzero(~self._cache.readable(keys))  # these alone, so that chunks are full
        TextJob(self.clip, keys[rows], rows, texts).update(
            self._cache, progress or (lambda count: None)
        )
        return self._cache.read(keys)


def _run(job: EmbeddingJob, frames: int, out: Path, part: Part | None, engine: Engine) -> Report:
    if part is not None:
        report = job.update(job.cache(), part=part)
        there = int(job.cache().contains(job.keys).sum())  # by now, of other parts too
        report.remark = f"; part {part} of {len(job.keys)}, of which {there} are in the cache now"
        return report
    done = ""
    if engine == "ray":
        from pipeline.features.ray_engine import encode_on_ray

        done = encode_on_ray(job)
    report = _publish(job, frames, out)
    report.remark = done
    return report


def _publish(job: EmbeddingJob, frames: int, out: Path) -> Report:
    """Bring the cache up to date and publish from it the contents of so many frames."""
    cache = job.cache()
    report = job.update(cache)
    report.rows = frames
    keys, clip = job.keys, job.clip
    shards = (keys[start : start + SHARD_ROWS] for start in range(0, len(keys), SHARD_ROWS))
    attributes = {**clip.settings(job.modality), "fingerprint": clip.fingerprint(job.modality)}
    with report.timing("published"):
        publish_shards(out, ((part, cache.read(part)) for part in shards), attributes)
    return report


def distinct_contents(frames: Path, column: str) -> tuple[Keys, Int64[np.ndarray, " n"], int]:
    """The table's different keys, in which rows they occur first, and its length."""
    keys = key_array(read_frames(frames, [column]).column(0))
    if not len(keys):
        raise UserError(f"{frames} has no frames; see what prepare put into the quarantine")
    _, first = np.unique(keys.view("S32").reshape(-1), return_index=True)
    rows = np.sort(first)
    return keys[rows], rows, len(keys)
