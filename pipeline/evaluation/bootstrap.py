"""Bootstrap intervals over stories (Efron 1979), for any figure that weights of stories give.

An interval says how much a figure would move with other stories of the same kind. It knows nothing
of another training seed, which may move it more.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

import numpy as np

from pipeline.evaluation.figures import Figure, Floats, Measure

DRAWS = 10_000
LEVEL = 0.95
BLOCK_ELEMENTS = 2**20
"""Weights held at a time, 8 MB of them."""

Name = TypeVar("Name", bound=Hashable)


def point(figure: Figure, stories: int) -> float | None:
    """The figure on the stories as they are; None where it is not defined."""
    value = float(figure(np.ones((1, stories)))[0])
    return None if np.isnan(value) else value


def intervals(
    figures: Mapping[Name, Figure], stories: int, seed: int, draws: int = DRAWS
) -> dict[Name, Measure]:
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
    tails = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    found = {}
    for name, value in defined.items():
        every = np.concatenate(drawn[name]) if drawn[name] else np.array([np.nan])
        low, high = (None, None) if np.isnan(every).any() else np.quantile(every, tails).tolist()
        found[name] = Measure(value, low, high)
    return found


def _resampled(stories: int, seed: int, draws: int) -> Iterator[Floats]:
    """How often each story is drawn, [B, N] at a time; every row sums to N."""
    random = np.random.default_rng(seed)
    evenly = np.full(stories, 1 / stories)
    block = max(1, min(draws, BLOCK_ELEMENTS // stories))
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        yield random.multinomial(stories, evenly, size=rows).astype(np.float64)
