"""A second CLIP that nothing was trained against: what it says cannot have been flattered."""

import sys
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.clip.frozen import FrozenClip
from pipeline.evaluation.scorer import CaptionScorer
from pipeline.features.cache import EncodeCache
from pipeline.features.embed import cache_images
from pipeline.features.store import FeatureStore


class Judge:
    """Scores captions against target images that it embeds itself, once, into the encode cache."""

    def __init__(self, clip: FrozenClip, clip_prefix: str, raw: Path) -> None:
        """`raw` is the folder of the raw stories, which hold the images."""
        self.scorer = CaptionScorer(clip, clip_prefix)
        self._raw = raw
        self._cache: EncodeCache | None = None

    @classmethod
    def load(
        cls, model: str, images: FeatureStore, texts: FeatureStore, clip_prefix: str, raw: Path
    ) -> Self:
        """Load the CLIP of `evaluate.judge`, to see images and long captions as the one of these
        features does: only the weights differ. Says on stderr if they do not even."""
        clip = FrozenClip.load(
            model,
            precision=images.attributes["precision"],
            image_fit=images.attributes["image_fit"],
            text_overflow=texts.attributes["text_overflow"],
            parameter="evaluate.judge",
        )
        if clip.fingerprint("image") == images.fingerprint:
            print(
                "evaluate: evaluate.judge is the CLIP that the features come from, so its verdict "
                "is not an independent one",
                file=sys.stderr,
            )
        return cls(clip, clip_prefix, raw)

    def look_at(self, frames: Path, keys: NDArray[np.uint8]) -> None:
        """Embed the images of these keys [N, 32], as far as the encode cache lacks them.

        Args:
            frames: the frames table, which says where the images lie.

        Raises:
            UserError: if images are missing or are not those that the table was made from, or the
                CLIP cannot embed captions: better now than after an hour of writing them.
        """
        self.scorer.clip.text_tower()
        self._cache = cache_images(self.scorer.clip, self._raw, frames, keys)

    def images(self, keys: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings of images that it looked at: keys [N, 32] to [N, D]."""
        if self._cache is None:
            raise RuntimeError("look_at comes before images")
        return self._cache.read(keys).astype(np.float32)
