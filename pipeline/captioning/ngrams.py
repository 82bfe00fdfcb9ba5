"""Runs of tokens, and how many different ones some captions have."""

from collections.abc import Sequence


def ngrams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Every run of n tokens, in order."""
    return list(zip(*(tokens[i:] for i in range(n)), strict=False))


def distinct_ngrams(captions: Sequence[Sequence[str]], n: int) -> float:
    """Different n-grams over all n-grams of the captions together (Li et al. 2016), 0 to 1."""
    every = [ngram for tokens in captions for ngram in ngrams(tokens, n)]
    return len(set(every)) / len(every) if every else 0.0
