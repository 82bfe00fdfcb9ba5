"""Scores of a caption against an image, both as CLIP embeddings.

`clip_cosine` is the mean raw cosine: what many papers, and the results this project starts from,
call CLIPScore. `clipscore` is the metric of Hessel et al. 2021 (CLIPScore, EMNLP), 2.5 times the
cosine clipped at 0; its authors put "A photo depicts" before the caption (`evaluate.clip_prefix`).
Both depend on the CLIP model, its preprocessing and, in the fourth digit, on its precision.

On text that CLIP truncates at its 77 tokens, what comes later cannot change either score.
"""

import numpy as np
from numpy.typing import NDArray

CLIPSCORE_WEIGHT = 2.5
"""Hessel et al.'s factor, which stretches the cosines seen in practice to about 0 to 1."""


def cosine(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Cosine of each row of `a` [N, D] with the same row of `b` [N, D], as float64 [N].

    A row of zeros has no direction; its cosine is 0.

    Raises:
        ValueError: if the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"cosine of rows needs equal shapes, got {a.shape} and {b.shape}")
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    dots = (a * b).sum(axis=-1)
    cosines = np.zeros_like(dots)
    np.divide(dots, lengths, out=cosines, where=lengths > 0)
    return cosines


def clipscore(cosines: NDArray[np.floating]) -> NDArray[np.float64]:
    """CLIPScore of each cosine [N]: 2.5 * max(cosine, 0)."""
    return CLIPSCORE_WEIGHT * np.maximum(cosines.astype(np.float64), 0.0)


def lift(score: float, shuffled: float, ground_truth: float) -> float | None:
    """Where a score lies between its reference rows: 0 is another story's caption, 1 the true one.

    Returns:
        (score - shuffled) / (ground_truth - shuffled), or None where the references do not tell
        right from wrong (ground truth not above shuffled): then no score means anything.
    """
    span = ground_truth - shuffled
    return (score - shuffled) / span if span > 0 else None
