"""Overlap of a caption's words with the true caption's, and with those of the model's others.

BLEU-4, ROUGE-L and CIDEr-D are from sacrebleu, rouge-score and pycocoevalcap, all over the tokens
of `tokenize`, so that their numbers are about the same words. Each has one reference caption to
compare with, where their authors had about five: the numbers are low, and a caption that tells the
same in other words gets little.
"""

from collections import Counter
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from pycocoevalcap.cider.cider import Cider
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

from pipeline.captioning.ngrams import ngrams
from pipeline.evaluation.figures import BLEU_ORDERS, Floats, bleu_from_sums

TOKENIZER = f"13a, lower case, punctuation kept (sacrebleu {version('sacrebleu')})"

Tokens = list[str]


class _Given:
    """Hands rouge-score the tokens that were joined by spaces."""

    def tokenize(self, text: str) -> Tokens:
        return text.split()


# Order 1 to 4 alone matter here; without `effective_order` it warns for every caption.
_bleu = BLEU(tokenize="none", effective_order=True)
_split = Tokenizer13a()
_rouge = RougeScorer(["rougeL"], tokenizer=_Given())


def tokenize(text: str) -> Tokens:
    """Words and punctuation marks of a text, lower-cased: mteval's `13a`, as sacrebleu has it."""
    tokens: Tokens = _split(text.lower()).split()
    return tokens


def forget() -> None:
    """Let go of the texts that sacrebleu keeps for a next time: 65,536 of them otherwise, twice."""
    Tokenizer13a.__call__.cache_clear()
    TokenizerRegexp.__call__.cache_clear()


def bleu_counts(captions: list[Tokens], references: list[Tokens]) -> NDArray[np.int64]:
    """What a corpus BLEU (Papineni et al. 2002) is summed from, per caption.

    Returns:
        int64 [N, 10]: matching n-grams of order 1 to 4, all n-grams of order 1 to 4, tokens of the
        caption, tokens of the reference.
    """
    counts = np.zeros((len(captions), 2 * BLEU_ORDERS + 2), np.int64)
    for i, (caption, reference) in enumerate(zip(captions, references, strict=True)):
        score = _bleu.sentence_score(" ".join(caption), [" ".join(reference)])
        counts[i] = [*score.counts, *score.totals, score.sys_len, score.ref_len]
    return counts


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


def self_bleu(captions: list[Tokens]) -> Floats:
    """BLEU-4 of each caption against all others as its references (Zhu et al. 2018), [N], 0 to 100.

    100 is a caption that others repeat. More captions repeat each other more: compare rows of one
    split, or runs over the same stories. The time grows with the number of captions and not with
    its square: of each n-gram it is enough to know the two captions that have it most often. A
    caption alone has no others and gets 0.
    """
    if len(captions) < 2:
        return np.zeros(len(captions))
    counts = np.zeros((len(captions), 2 * BLEU_ORDERS + 2), np.int64)
    lengths = np.array([len(tokens) for tokens in captions])
    counts[:, -2], counts[:, -1] = lengths, _closest_other(lengths)
    for n in range(1, BLEU_ORDERS + 1):
        own = [Counter(ngrams(tokens, n)) for tokens in captions]
        most: dict[tuple[str, ...], tuple[int, int, int]] = {}  # whose, how often, second most
        for i, counter in enumerate(own):
            for ngram, count in counter.items():
                who, first, second = most.get(ngram, (-1, 0, 0))
                most[ngram] = (
                    (i, count, first) if count > first else (who, first, max(second, count))
                )
        for i, counter in enumerate(own):
            for ngram, count in counter.items():
                who, first, second = most[ngram]
                counts[i, n - 1] += min(count, second if who == i else first)
            counts[i, BLEU_ORDERS + n - 1] = counter.total()
    return bleu_from_sums(counts.astype(np.float64))


def _closest_other(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The length among the others nearest to one's own, the shorter of two equally near: [N]."""
    order = np.argsort(lengths, kind="stable")
    ascending = lengths[order]
    far = 2 * int(ascending[-1]) + 1
    before = np.concatenate([[-far], ascending[:-1]])
    after = np.concatenate([ascending[1:], [2 * far]])
    closest = np.where(ascending - before <= after - ascending, before, after)
    result = np.empty_like(lengths)
    result[order] = closest
    return result
