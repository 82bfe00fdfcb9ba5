"""Text embeddings by content: from the encode cache where it has them, else encoded and kept."""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.clip.frozen import FrozenClip
from pipeline.features.cache import EncodeCache
from pipeline.stories.frames import content_key

CHUNK_BATCHES = 32
"""Forward passes per file of the cache: what a killed run may lose."""


class CachedTexts:
    """A frozen CLIP's text tower in front of the encode cache."""

    def __init__(self, clip: FrozenClip) -> None:
        self.clip = clip
        self._cache = EncodeCache("text", clip.fingerprint("text"))
        self._scanned = False

    def embed(
        self, texts: Sequence[str], progress: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """Embeddings of different texts: float16 [N, D], unit norm.

        Args:
            progress: called with numbers of texts that were encoded.

        Raises:
            UserError: if the cache cannot be written to.
        """
        if not self._scanned:
            self._cache.scan()
            self._scanned = True
        if not texts:
            return np.zeros((0, self.clip.dim), np.float16)
        keys = np.stack([np.frombuffer(content_key(text.encode()), np.uint8) for text in texts])
        missing = np.flatnonzero(~self._cache.contains(keys))
        rows = self.clip.batch_size * CHUNK_BATCHES
        for start in range(0, len(missing), rows):
            part = missing[start : start + rows]
            embeddings = self.clip.encode_texts([texts[i] for i in part], progress)
            self._cache.add(keys[part], embeddings)
        if len(missing):
            self._cache.scan()
        return self._cache.read(keys)
