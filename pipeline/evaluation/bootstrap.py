"""Bootstrap intervals over stories (Efron 1979), for any figure that weights of stories give.

A figure is a function of how often each story was drawn: `weights` [B, N], one row per draw, to
one value per draw, [B]. All ones give the figure itself. So a mean, a ratio of sums, a median and
a corpus BLEU take the same road, and a difference of two figures is a paired bootstrap by itself.

An interval says how much a figure would move with other stories of the same kind. It knows nothing
of another training seed, which may move it more.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
LEVEL = 0.95
BLOCK_ELEMENTS = 2**20
"""Weights held at a time, 8 MB of them."""

Name = TypeVar("Name", bound=Hashable)

Floats = NDArray[np.float64]
Figure = Callable[[Floats], Floats]
"""Weights [B, N] to values [B]; NaN where the figure is not defined."""


class Interval(NamedTuple):
    """A figure and its percentile interval."""

    value: float
    low: float | None
    """None where the figure has no interval: it was not asked for, or some draws left the figure
    undefined."""
    high: float | None


def mean_of(values: NDArray[np.generic]) -> Figure:
    """Mean over stories of values [N]."""
    column = values.astype(np.float64)
    return lambda weights: (weights @ column) / weights.sum(axis=1)


def ratio_of(numerator: NDArray[np.generic], denominator: NDArray[np.generic]) -> Figure:
    """Sum over stories of one column [N] over the sum of another, such as nats a token."""
    above, below = numerator.astype(np.float64), denominator.astype(np.float64)
    return lambda weights: _divided(weights @ above, weights @ below)


def median_of(values: NDArray[np.generic]) -> Figure:
    """Median over stories of values [N]: the smallest that half of the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    ascending = values[order].astype(np.float64)

    def median(weights: Floats) -> Floats:
        reached = np.cumsum(weights[:, order], axis=1) >= weights.sum(axis=1, keepdims=True) / 2
        middle: Floats = ascending[reached.argmax(axis=1)]
        return middle

    return median


def lift_of(
    scores: NDArray[np.generic], floor: NDArray[np.generic], ceiling: NDArray[np.generic]
) -> Figure:
    """Where mean scores lie between floor and ceiling; all [N]. NaN unless ceiling > floor."""
    gained = (scores.astype(np.float64), ceiling.astype(np.float64))
    base = floor.astype(np.float64)
    return lambda weights: _divided(*(weights @ (part - base) for part in gained))


def difference(figure: Figure, other: Figure) -> Figure:
    """`figure - other`, over the same stories."""
    return lambda weights: figure(weights) - other(weights)


def _divided(above: Floats, below: Floats) -> Floats:
    quotient = np.full_like(above, np.nan)
    np.divide(above, below, out=quotient, where=below > 0)
    return quotient


def point(figure: Figure, stories: int) -> float | None:
    """The figure on the stories as they are; None where it is not defined."""
    value = float(figure(np.ones((1, stories)))[0])
    return None if np.isnan(value) else value


def intervals(
    figures: Mapping[Name, Figure],
    stories: int,
    seed: int,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> dict[Name, Interval]:
    """Each figure with its percentile interval; figures that are not defined are left out.

    All figures see the same draws. Fewer than two stories give no interval.
    """
    values = {name: point(figure, stories) for name, figure in figures.items()}
    defined = {name: value for name, value in values.items() if value is not None}
    drawn: dict[Name, list[Floats]] = {name: [] for name in defined}
    if stories > 1:
        for weights in _resampled(stories, seed, draws):
            for name, parts in drawn.items():
                parts.append(figures[name](weights))
    tails = ((1 - level) / 2, (1 + level) / 2)
    found = {}
    for name, value in defined.items():
        every = np.concatenate(drawn[name]) if drawn[name] else np.array([np.nan])
        low, high = (None, None) if np.isnan(every).any() else np.quantile(every, tails).tolist()
        found[name] = Interval(value, low, high)
    return found


def _resampled(stories: int, seed: int, draws: int) -> Iterator[Floats]:
    """How often each story is drawn, [B, N] at a time; every row sums to N."""
    random = np.random.default_rng(seed)
    evenly = np.full(stories, 1 / stories)
    block = max(1, min(draws, BLOCK_ELEMENTS // stories))
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        yield random.multinomial(stories, evenly, size=rows).astype(np.float64)
