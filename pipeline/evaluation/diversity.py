"""How different the captions of a model are from each other.

All of it depends on how many captions are compared: more of them repeat each other more. Compare
rows of one split, or runs over the same stories.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.captioning.ngrams import ngrams
from pipeline.evaluation.figures import BLEU_ORDERS, Floats, bleu_from_sums
from pipeline.evaluation.overlap import Tokens


def text_hash(texts: Sequence[str]) -> NDArray[np.int64]:
    """64 bits of each text's digest, [N]: enough to count the different ones among millions."""
    digests = (hashlib.md5(text.encode()).digest()[:8] for text in texts)
    return np.frombuffer(b"".join(digests), np.int64)


def self_bleu(captions: list[Tokens]) -> Floats:
    """BLEU-4 of each caption against all others as its references (Zhu et al. 2018), [N], 0 to 100.

    100 is a caption that others repeat. The time grows with the number of captions and not with
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
