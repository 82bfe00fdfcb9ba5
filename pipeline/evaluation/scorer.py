"""Captions to CLIP text embeddings, each text once, through the encode cache."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.clip.frozen import FrozenClip
from pipeline.features.embed import CachedTexts

SENTENCE_END = re.compile(r"(?<=[.!?])[\"'\u201d\u2019)\]]*\s+")


def sentences(caption: str) -> list[str]:
    """The sentences of a caption: cut where white space follows a full stop, `!` or `?`."""
    return [part for part in SENTENCE_END.split(caption.strip()) if part]


@dataclass(frozen=True)
class TextVectors:
    """Embeddings of the texts that were asked for."""

    _row: dict[str, int]
    _matrix: NDArray[np.float16]

    def of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings of some of these texts: [N, D], unit norm; zeros for an empty text.

        An empty caption shows nothing, and zeros make its cosine 0, where CLIP would give the
        empty text a vector of its own that is not far from any image.
        """
        rows = np.array([self._row.get(text, -1) for text in texts], np.int64)
        found = np.zeros((len(texts), self._matrix.shape[1]), np.float32)
        found[rows >= 0] = self._matrix[rows[rows >= 0]]
        return found


class CaptionScorer:
    """Embeds captions behind `evaluate.clip_prefix`, as the feature store keeps them.

    That is through float16 and by content, so that a generated caption which repeats one of the
    dataset gets the same score to the last digit.
    """

    def __init__(self, clip: FrozenClip, clip_prefix: str) -> None:
        self.clip = clip
        self.prefix = clip_prefix.strip()
        self._texts = CachedTexts(clip)

    def embed(
        self, texts: Iterable[str], progress: Callable[[int], object] | None = None
    ) -> TextVectors:
        """Embed every different text that is not empty."""
        written = [text for text in dict.fromkeys(texts) if text.strip()]
        matrix = self._texts.embed([f"{self.prefix} {text}".strip() for text in written], progress)
        return TextVectors({text: row for row, text in enumerate(written)}, matrix)
