"""Overlap of a caption's words with the true caption's: BLEU-4, ROUGE-L, CIDEr-D.

From sacrebleu, rouge-score and pycocoevalcap, all over the tokens of `tokens.py`. Each has one
reference caption to compare with, where their authors had about five: the numbers are low, and a
caption that tells the same in other words gets little.
"""

import numpy as np
from numpy.typing import NDArray
from pycocoevalcap.cider.cider import Cider
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU

from pipeline.evaluation.bootstrap import Figure, Floats

ORDERS = 4
"""Longest n-grams that are compared."""

Tokens = list[str]


class _Given:
    """Hands rouge-score the tokens that were joined by spaces."""

    def tokenize(self, text: str) -> Tokens:
        return text.split()


# Order 1 to 4 alone matter here; without `effective_order` it warns for every caption.
_bleu = BLEU(tokenize="none", effective_order=True)
_rouge = RougeScorer(["rougeL"], tokenizer=_Given())


def bleu_counts(captions: list[Tokens], references: list[Tokens]) -> NDArray[np.int64]:
    """What a corpus BLEU (Papineni et al. 2002) is summed from, per caption.

    Returns:
        int64 [N, 10]: matching n-grams of order 1 to 4, all n-grams of order 1 to 4, tokens of the
        caption, tokens of the reference.
    """
    counts = np.zeros((len(captions), 2 * ORDERS + 2), np.int64)
    for i, (caption, reference) in enumerate(zip(captions, references, strict=True)):
        score = _bleu.sentence_score(" ".join(caption), [" ".join(reference)])
        counts[i] = [*score.counts, *score.totals, score.sys_len, score.ref_len]
    return counts


def bleu_of(counts: NDArray[np.int64]) -> Figure:
    """Corpus BLEU-4, 0 to 100, of counts [N, 10], with sacrebleu's smoothing (`exp`)."""
    columns = counts.astype(np.float64)
    return lambda weights: bleu_from_sums(weights @ columns)


def bleu_from_sums(sums: Floats) -> Floats:
    """BLEU-4, 0 to 100, of summed counts [B, 10]: `BLEU.compute_bleu`, over many at a time."""
    matching, total = sums[:, :ORDERS], sums[:, ORDERS : 2 * ORDERS]
    length, reference_length = sums[:, -2], sums[:, -1]
    logs, halves = np.zeros(len(sums)), np.ones(len(sums))
    for n in range(ORDERS):
        none = matching[:, n] == 0
        halves = np.where(none, 2 * halves, halves)
        smoothed = np.where(none, 1 / halves, matching[:, n])
        logs += np.log(smoothed / np.maximum(total[:, n], 1)) / ORDERS
    with np.errstate(divide="ignore"):
        brevity = np.minimum(1 - reference_length / np.maximum(length, 1e-9), 0)
    scored = matching.any(axis=1) & (total > 0).all(axis=1)
    return np.where(scored, 100 * np.exp(logs + brevity), 0.0)


def rouge_l(captions: list[Tokens], references: list[Tokens]) -> Floats:
    """F-measure of the longest common subsequence with the reference (Lin 2004), [N], 0 to 1."""
    return np.array(
        [
            _rouge.score(" ".join(reference), " ".join(caption))["rougeL"].fmeasure
            for caption, reference in zip(captions, references, strict=True)
        ],
        np.float64,
    )


def cider_d(captions: list[Tokens], references: list[Tokens]) -> Floats:
    """CIDEr-D (Vedantam et al. 2015) of each caption, [N], 0 to 10.

    How rare an n-gram is, is counted in the references that are given. Their number is part of the
    measure, and a single one gives 0: every n-gram is in all references then.
    """
    numbered = range(len(captions))
    _, scores = Cider().compute_score(
        {i: [" ".join(references[i])] for i in numbered},
        {i: [" ".join(captions[i])] for i in numbered},
    )
    return np.asarray(scores, np.float64)
