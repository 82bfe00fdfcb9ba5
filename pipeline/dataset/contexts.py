"""The contexts that captions are written for, as plain arrays."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dataset.windows import Windows
from pipeline.features.store import FeatureStore, key_array

CONTEXT_COLUMNS = ["story_id", "caption", "image_key", "caption_key"]
"""Columns of the frames table that contexts are made from."""


@dataclass(frozen=True)
class Contexts:
    """N contexts of K frames."""

    story: list[str]
    """Story id of each."""
    images: NDArray[np.float32]
    """CLIP embeddings of the frames, [N, K, dim_image], unit norm."""
    texts: NDArray[np.float32]
    """CLIP embeddings of their captions, [N, K, dim_text], unit norm."""
    captions: list[list[str]]
    """The K captions of each."""
    keys: list[bytes]
    """SHA-256 of what each is made of: its frames' and captions' content keys, in order."""

    @classmethod
    def of(
        cls, frames: pa.Table, windows: Windows, images: FeatureStore, texts: FeatureStore
    ) -> "Contexts":
        """Look up the contexts of windows over `frames`, which has `CONTEXT_COLUMNS`.

        Raises UserError when a feature is missing.
        """
        n, k = windows.context.shape
        taken = frames.take(pa.array(windows.context.reshape(-1)))
        image_keys, text_keys = (
            key_array(taken.column(name)) for name in ("image_key", "caption_key")
        )
        both = np.concatenate([image_keys, text_keys], axis=1).reshape(n, -1)
        captions = taken.column("caption").to_pylist()
        return cls(
            list(windows.story),
            images.lookup(image_keys).reshape(n, k, images.dim),
            texts.lookup(text_keys).reshape(n, k, texts.dim),
            [captions[i : i + k] for i in range(0, n * k, k)],
            [hashlib.sha256(row.tobytes()).digest() for row in both],
        )

    def __len__(self) -> int:
        return len(self.story)

    def take(self, rows: Sequence[int]) -> "Contexts":
        """The contexts `rows`, in that order; one may be asked for more than once."""
        return Contexts(
            [self.story[i] for i in rows],
            self.images[list(rows)],
            self.texts[list(rows)],
            [self.captions[i] for i in rows],
            [self.keys[i] for i in rows],
        )
