"""Every metric of every row for a pool of stories, as columns of one number a story.

A pool is what captions are compared within: CIDEr-D counts in its true captions how rare an n-gram
is, and distinct-n and self-BLEU look for repetition in it. Up to `CAPTION_POOL` stories that is
the whole split; beyond it the figures are means over pools, and memory and time stay bounded.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.captioning.ngrams import distinct_ngrams
from pipeline.evaluation.clipscore import clipscore, cosine, mean_by_caption, ref_clipscore
from pipeline.evaluation.metrics import Columns
from pipeline.evaluation.overlap import bleu_counts, cider_d, forget, rouge_l, self_bleu, tokenize
from pipeline.evaluation.ranks import ranks
from pipeline.evaluation.scorer import CaptionScorer, TextVectors, sentences
from pipeline.evaluation.targets import PoolTargets

CAPTION_POOL = 1000


def score_rows(
    captions: Mapping[str, Sequence[str]],
    targets: PoolTargets,
    scorer: CaptionScorer,
    judge: CaptionScorer | None,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Columns]:
    """Score rows of captions against the targets of N stories.

    Args:
        captions: row -> N captions, in the order of the targets.
        judge: embeds for `judge_cosine`; without it there is no such column.
        progress: called with numbers of texts that had to be encoded.

    Returns:
        row -> its columns, in the order of `captions`.
    """
    parts = {row: [sentences(text) for text in texts] for row, texts in captions.items()}
    whole = [text for texts in captions.values() for text in texts]
    pieces = [text for several in parts.values() for some in several for text in some]
    vectors = scorer.embed([*whole, *targets.captions, *pieces], progress)
    judged = judge.embed(whole, progress) if judge is not None else None
    true_tokens = [tokenize(text) for text in targets.captions]
    scored = {
        row: _clip_columns(texts, parts[row], vectors, judged, targets)
        | _text_columns(texts, true_tokens)
        for row, texts in captions.items()
    }
    forget()
    return scored


def _clip_columns(
    texts: Sequence[str],
    parts: list[list[str]],
    vectors: TextVectors,
    judged: TextVectors | None,
    targets: PoolTargets,
) -> Columns:
    embeddings, images = vectors.of(texts), targets.images
    cosines = cosine(embeddings, images)
    counts = np.array([len(some) for some in parts], np.int64)
    pieces = vectors.of([text for some in parts for text in some])
    columns: Columns = {
        "clip_cosine": cosines,
        "clipscore": clipscore(cosines),
        "ref_clipscore": ref_clipscore(cosines, cosine(embeddings, vectors.of(targets.captions))),
        "clip_cosine_sentences": mean_by_caption(
            cosine(pieces, np.repeat(images, counts, axis=0)), counts
        ),
    }
    if judged is not None and targets.judge_images is not None:
        columns["judge_cosine"] = cosine(judged.of(texts), targets.judge_images)
    if len(targets.split.images) > 1:
        columns["rank"] = ranks(
            embeddings, targets.split.images, targets.place, targets.split.content
        )
    columns["rank_same_story"] = targets.frames.ranks(embeddings)
    return columns


def _text_columns(texts: Sequence[str], true_tokens: list[list[str]]) -> Columns:
    tokens = [tokenize(text) for text in texts]
    count = len(tokens)
    return {
        "bleu_counts": bleu_counts(tokens, true_tokens),
        "rouge_l": rouge_l(tokens, true_tokens),
        "cider_d": cider_d(tokens, true_tokens),
        "distinct_1": np.full(count, distinct_ngrams(tokens, 1)),
        "distinct_2": np.full(count, distinct_ngrams(tokens, 2)),
        "self_bleu": self_bleu(tokens),
        "words": np.array([len(text.split()) for text in texts], np.float64),
        "text_hash": text_hash(texts),
    }


def text_hash(texts: Sequence[str]) -> NDArray[np.int64]:
    """64 bits of each text's digest, [N]: enough to count the different ones among millions."""
    digests = (hashlib.md5(text.encode()).digest()[:8] for text in texts)
    return np.frombuffer(b"".join(digests), np.int64)
