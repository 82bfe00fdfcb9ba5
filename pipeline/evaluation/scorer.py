"""Captions to CLIP text embeddings, under the very settings of the feature store."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.features.clip import FrozenClip


class CaptionScorer:
    """Embeds captions behind `evaluate.clip_prefix`, as the store would have kept them.

    That is through float16, so that a generated caption which repeats one of the dataset gets the
    same score to the last digit.
    """

    def __init__(self, clip: FrozenClip, clip_prefix: str) -> None:
        self.clip = clip
        self.prefix = clip_prefix.strip()

    @property
    def reads_store(self) -> bool:
        """Whether the store's own embeddings of captions are what `embed` would give."""
        return not self.prefix

    def embed(self, captions: Sequence[str]) -> NDArray[np.float32]:
        """Embed captions: float32 [N, D], unit norm; zeros for an empty caption.

        An empty caption shows nothing, and zeros make its cosine 0, where CLIP would give the
        empty text a vector of its own that is not far from any image.
        """
        written = [i for i, caption in enumerate(captions) if caption.strip()]
        embeddings = np.zeros((len(captions), self.clip.dim), np.float32)
        if written:
            texts = [f"{self.prefix} {captions[i]}".strip() for i in written]
            embeddings[written] = self.clip.encode_texts(texts).astype(np.float16)
        return embeddings
