"""How the discriminator of the adversarial stage scores captions that it was not trained on."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.adversarial.discriminator import Discriminator
from pipeline.clip.frozen import FrozenClip
from pipeline.evaluation.metrics import Columns
from pipeline.evaluation.references import GROUND_TRUTH, MODEL, SHUFFLED
from pipeline.evaluation.scorer import CaptionScorer

SCORE = "d_score"
"""The column of its scores."""


class DiscriminatorScorer:
    """A trained discriminator and the CLIP in whose space it scores."""

    def __init__(self, discriminator: Discriminator, clip: FrozenClip) -> None:
        """`discriminator` in eval mode; `clip` of the text features."""
        self.discriminator = discriminator
        # Never behind `evaluate.clip_prefix`, and cut where the features are: as it was trained.
        self.scorer = CaptionScorer(clip, "")

    def columns(
        self, captions: Mapping[str, Sequence[str]], images: NDArray[np.float32]
    ) -> dict[str, Columns]:
        """Its scores of the true, the generated and the shuffled captions of N stories.

        Args:
            captions: row -> N captions. images: embeddings of the target images, [N, D].

        Returns:
            row -> its scores as the column `d_score`, [N]; above 0 it takes a caption for true.
        """
        rows = [row for row in (GROUND_TRUTH, MODEL, SHUFFLED) if row in captions]
        vectors = self.scorer.embed([text for row in rows for text in captions[row]])
        return {
            row: {SCORE: self.discriminator.score_pairs(images, vectors.of(captions[row]))}
            for row in rows
        }
