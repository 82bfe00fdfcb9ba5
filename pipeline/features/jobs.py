"""What is to be embedded of one modality: how it is read, encoded and kept.

Distinct contents, in their order, are cut into chunks at fixed places. Of each chunk the rows that
the encode cache lacks are encoded and kept together, so that a killed run leaves whole chunks
behind and the next one does exactly what would have followed: which rows share a forward pass never
depends on where a run was interrupted.
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from pipeline.clip.folder import Modality
from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import UserError
from pipeline.common.keys import Keys
from pipeline.common.parts import WHOLE, Part
from pipeline.common.progress import progress_bar
from pipeline.features.cache import EncodeCache
from pipeline.features.prefetch import prefetched
from pipeline.features.sources import RawImage, stream_captions, stream_images
from pipeline.stories.frames import content_key

Batch = TypeVar("Batch")
Progress = Callable[[int], object]
Rows = Int64[np.ndarray, " n"]

BATCHES_AHEAD = 2
"""Batches that are read while another is encoded."""
MOST_DECODERS = 16
"""Threads that decode images, at most."""


@dataclass
class Report:
    """What one run did, and where its time went."""

    unit: str
    rows: int = 0
    """Frames of the dataset."""
    distinct: int = 0
    encoded: int = 0
    """Rows that the cache lacked."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by phase: waiting for input, encoding, keeping in the cache, publishing."""
    remark: str = ""
    """What else there is to say."""

    @contextmanager
    def timing(self, phase: str) -> Iterator[None]:
        """Add the time that the body takes to a phase."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - started

    def __str__(self) -> str:
        phases = ", ".join(f"{name} {value:.1f} s" for name, value in self.seconds.items())
        return (
            f"{self.unit}: {self.rows} rows, {self.distinct} distinct, "
            f"{self.distinct - self.encoded} from the cache, {self.encoded} encoded"
            f"{f' ({phases})' if phases else ''}{self.remark}"
        )


def encode_cache(clip: FrozenClip, modality: Modality) -> EncodeCache:
    """The part of the encode cache that is this encoder's."""
    return EncodeCache(modality, clip.fingerprint(modality), settings=clip.settings(modality))


class EmbeddingJob(ABC, Generic[Batch]):
    """Distinct contents of one modality that are to be in the encode cache."""

    modality: ClassVar[Modality]
    unit: ClassVar[str]
    chunk_batches: ClassVar[int]
    """Forward passes per cached chunk: what a killed run may lose."""

    def __init__(self, clip: FrozenClip, keys: Keys, rows: Rows) -> None:
        """`keys` are all different; `rows` are their places in what is read."""
        self.clip = clip
        self.keys = keys
        self.rows = rows

    @abstractmethod
    def read(self, chunks: Sequence[Int64[np.ndarray, " _"]]) -> Generator[Batch, None, None]:
        """Stream what is at some rows, chunk by chunk, in batches that end where a chunk ends.

        Runs in a thread of its own.
        """

    @abstractmethod
    def encode(self, batch: Batch, progress: Progress) -> Float32[np.ndarray, "b d"]:
        """Embeddings of a batch; `progress` hears how many of its rows are finished."""

    def cache(self) -> EncodeCache:
        """The part of the encode cache that is this encoder's."""
        return encode_cache(self.clip, self.modality)

    def update(
        self, cache: EncodeCache, progress: Progress | None = None, part: Part = WHOLE
    ) -> Report:
        """Encode and keep what `cache` lacks.

        Args:
            progress: called with numbers of rows that were encoded, in place of a bar.
            part: of the chunks, what is to be looked at; whole chunks, so that which rows share a
                forward pass does not depend on it.

        Raises:
            UserError: if the cache cannot be written to, or what is read does not fit.
        """
        size = self.clip.batch_size * self.chunk_batches
        share, chunks = cache.missing(self.keys, size, part)
        report = Report(self.unit, share, share, sum(map(len, chunks)))
        if not chunks:
            return report
        with (
            prefetched(self.read([self.rows[chunk] for chunk in chunks]), BATCHES_AHEAD) as batches,
            progress_bar(total=report.encoded, unit=self.unit, disable=progress is not None) as bar,
        ):
            for chunk in chunks:
                parts: list[np.ndarray] = []
                while sum(map(len, parts)) < len(chunk):
                    with report.timing("waited"):
                        batch = next(batches)
                    with report.timing("encoded"):
                        parts.append(self.encode(batch, progress or bar.update))
                with report.timing("kept"):
                    cache.add(self.keys[chunk], np.concatenate(parts))
        return report


class ImageJob(EmbeddingJob[np.ndarray]):
    """Images of the frames table, decoded on all cores."""

    modality = "image"
    unit = "frames"
    chunk_batches = 8

    def __init__(self, clip: FrozenClip, keys: Keys, rows: Rows, frames: Path, raw: Path) -> None:
        super().__init__(clip, keys, rows)
        self.frames, self.raw = frames, raw

    def read(self, chunks: Sequence[Int64[np.ndarray, " _"]]) -> Generator[np.ndarray, None, None]:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4
        images = stream_images(self.raw, self.frames, np.concatenate(chunks))
        with ThreadPoolExecutor(min(cores, MOST_DECODERS)) as pool:  # Pillow releases Python's lock
            for chunk in chunks:
                for start in range(0, len(chunk), self.clip.batch_size):
                    batch = islice(images, min(self.clip.batch_size, len(chunk) - start))
                    yield np.stack(list(pool.map(self._pixels, batch)))

    def encode(
        self, batch: UInt8[np.ndarray, "b 3 s s"], progress: Progress
    ) -> Float32[np.ndarray, "b d"]:
        embeddings = self.clip.encode_images(batch)
        progress(len(embeddings))
        return embeddings

    def _pixels(self, image: RawImage) -> np.ndarray:
        where = f"image {image.frame_index + 1} of story {image.story_id}"
        if content_key(image.data) != image.key:
            raise UserError(f"{where} has changed since prepare; run dvc repro")
        try:
            return self.clip.preprocess(image.data)
        except UserError as error:
            raise UserError(f"{where}: {error}; run prepare again to set it aside") from error


class TextJob(EmbeddingJob[list[str]]):
    """Captions of the frames table, or texts that are at hand."""

    modality = "text"
    unit = "captions"
    chunk_batches = 32

    def __init__(
        self, clip: FrozenClip, keys: Keys, rows: Rows, source: Path | Sequence[str]
    ) -> None:
        """`source`: the frames table, or the texts, of which `rows` are the places."""
        super().__init__(clip, keys, rows)
        self.source = source

    def read(self, chunks: Sequence[Int64[np.ndarray, " _"]]) -> Generator[list[str], None, None]:
        rows, source = np.concatenate(chunks), self.source
        if isinstance(source, Path):
            texts = stream_captions(source, rows)
        else:
            texts = (source[row] for row in rows)
        for chunk in chunks:
            yield list(islice(texts, len(chunk)))

    def encode(self, batch: list[str], progress: Progress) -> Float32[np.ndarray, "b d"]:
        return self.clip.encode_texts(batch, progress)
