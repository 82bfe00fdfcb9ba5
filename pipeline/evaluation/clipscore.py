"""Scores of a caption against an image, both as CLIP embeddings.

`clip_cosine` is the mean raw cosine: what many papers, and the results this project starts from,
call CLIPScore. `clipscore` is the metric of Hessel et al. 2021 (CLIPScore, EMNLP), 2.5 times the
cosine clipped at 0; its authors put "A photo depicts" before the caption (`evaluate.clip_prefix`).
Both depend on the CLIP model, its preprocessing and, in the fourth digit, on its precision.

On text that CLIP truncates at its 77 tokens, what comes later cannot change either score, and it
reads no more than about 20 of them well (Long-CLIP, Zhang et al. 2024). `clip_cosine_sentences`,
the mean over the sentences of a caption, lets every sentence count alike.
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


def ref_clipscore(
    image_cosines: NDArray[np.floating], reference_cosines: NDArray[np.floating]
) -> NDArray[np.float64]:
    """RefCLIPScore of each caption [N]: how near it is to the image and to the true caption.

    The harmonic mean of CLIPScore and of the cosine with the reference's text embedding, clipped
    at 0 (Hessel et al. 2021, with one reference each).
    """
    image, reference = clipscore(image_cosines), np.maximum(reference_cosines, 0.0)
    total = image + reference
    means = np.zeros_like(total)
    np.divide(2 * image * reference, total, out=means, where=total > 0)
    return means


def mean_by_caption(
    cosines: NDArray[np.floating], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean of each caption's sentence cosines.

    Args:
        cosines: of all sentences, caption after caption, [sum of counts].
        counts: sentences of each caption, [N]; a caption without any gets 0.
    """
    caption = np.repeat(np.arange(len(counts)), counts)
    sums = np.bincount(caption, weights=cosines, minlength=len(counts))
    return sums / np.maximum(counts, 1)
