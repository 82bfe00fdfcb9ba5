"""Figures: what a metric makes of the columns of its stories, a mean, a ratio, a median, a BLEU.

A figure is a function of how often each story was drawn: `weights` [B, N], one row per draw, to
one value per draw, [B]. All ones give the figure itself. So all of them take the same road through
the bootstrap, and a difference of two figures is a paired bootstrap by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Column = NDArray[np.generic]
Figure = Callable[[Floats], Floats]
"""Weights [B, N] to values [B]; NaN where the figure is not defined."""

BLEU_ORDERS = 4
"""Longest n-grams that BLEU compares."""


@dataclass(frozen=True)
class Measure:
    """A number, and its percentile interval over stories where it has one."""

    value: float
    low: float | None = None
    """None where there is no interval: it was not asked for, or some draws left the figure
    undefined."""
    high: float | None = None

    def __str__(self) -> str:
        """As tables show it: `0.63 [0.58, 0.67]`."""
        shown = f"{self.value:.2f}"
        if self.low is None or self.high is None:
            return shown
        return f"{shown} [{self.low:.2f}, {self.high:.2f}]"


def mean_of(values: Column) -> Figure:
    """Mean over stories of values [N]."""
    column = values.astype(np.float64)
    return lambda weights: (weights @ column) / weights.sum(axis=1)


def ratio_of(numerator: Column, denominator: Column) -> Figure:
    """Sum over stories of one column [N] over the sum of another, such as nats a token."""
    above, below = numerator.astype(np.float64), denominator.astype(np.float64)
    return lambda weights: _divided(weights @ above, weights @ below)


def f1_of(right: Column, given: Column, found: Column, wanted: Column) -> Figure:
    """Harmonic mean of the precision `right / given` and the recall `found / wanted`, all [N].

    0 where nothing was given, NaN where nothing was wanted.
    """
    precision, recall = ratio_of(right, given), ratio_of(found, wanted)

    def f1(weights: Floats) -> Floats:
        p, r = np.nan_to_num(precision(weights)), recall(weights)
        return np.where(p + r == 0, 0.0, _divided(2 * p * r, p + r))

    return f1


def median_of(values: Column) -> Figure:
    """Median over stories of values [N]: the smallest that half of the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    ascending = values[order].astype(np.float64)

    def median(weights: Floats) -> Floats:
        reached = np.cumsum(weights[:, order], axis=1) >= weights.sum(axis=1, keepdims=True) / 2
        middle: Floats = ascending[reached.argmax(axis=1)]
        return middle

    return median


def lift_of(scores: Column, floor: Column, ceiling: Column) -> Figure:
    """Where mean scores lie between floor and ceiling; all [N]. NaN unless ceiling > floor."""
    gained = (scores.astype(np.float64), ceiling.astype(np.float64))
    base = floor.astype(np.float64)
    return lambda weights: _divided(*(weights @ (part - base) for part in gained))


def difference(figure: Figure, other: Figure) -> Figure:
    """`figure - other`, over the same stories."""
    return lambda weights: figure(weights) - other(weights)


def constant(value: Column) -> Figure:
    """One number that no draw changes, such as a loss that was averaged over batches."""
    return lambda weights: np.full(len(weights), float(value))


def bleu_of(counts: Column) -> Figure:
    """Corpus BLEU-4, 0 to 100, of `overlap.bleu_counts` [N, 10], with sacrebleu's smoothing."""
    columns = counts.astype(np.float64)
    return lambda weights: bleu_from_sums(weights @ columns)


def bleu_from_sums(sums: Floats) -> Floats:
    """BLEU-4, 0 to 100, of summed counts [B, 10]: `BLEU.compute_bleu`, over many at a time."""
    matching, total = sums[:, :BLEU_ORDERS], sums[:, BLEU_ORDERS : 2 * BLEU_ORDERS]
    length, reference_length = sums[:, -2], sums[:, -1]
    logs, halves = np.zeros(len(sums)), np.ones(len(sums))
    for n in range(BLEU_ORDERS):
        none = matching[:, n] == 0
        halves = np.where(none, 2 * halves, halves)
        smoothed = np.where(none, 1 / halves, matching[:, n])
        logs += np.log(smoothed / np.maximum(total[:, n], 1)) / BLEU_ORDERS
    with np.errstate(divide="ignore"):
        brevity = np.minimum(1 - reference_length / np.maximum(length, 1e-9), 0)
    scored = matching.any(axis=1) & (total > 0).all(axis=1)
    return np.where(scored, 100 * np.exp(logs + brevity), 0.0)


def _divided(above: Floats, below: Floats) -> Floats:
    quotient = np.full_like(above, np.nan)
    np.divide(above, below, out=quotient, where=below > 0)
    return quotient
