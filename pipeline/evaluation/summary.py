"""Metrics of a split with their intervals, and the few of them that one looks at first."""

from collections.abc import Mapping

from pipeline.evaluation.bootstrap import intervals
from pipeline.evaluation.figures import Measure
from pipeline.evaluation.metrics import HEADLINE, METRICS, Columns, row_figures, split_figures
from pipeline.evaluation.results import SplitMeasures

DECIMALS = 6


def summarise(rows: Mapping[str, Columns], own: Columns, stories: int, seed: int) -> SplitMeasures:
    """Work out every metric and its interval; all see the same draws.

    Args:
        rows: row -> its columns. own: the split's columns, as `split_figures` takes them.
    """
    figures = {(row, name): f for row, of in rows.items() for name, f in row_figures(of).items()}
    figures |= {("", name): figure for name, figure in split_figures(rows, own).items()}
    measures: dict[str, dict[str, Measure]] = {row: {} for row in (*rows, "")}
    for (row, name), measure in intervals(figures, stories, seed).items():
        measures[row][name] = _rounded(measure, METRICS[name].interval)
    of_split = measures.pop("")
    return SplitMeasures(stories, measures, of_split)


def headline(split: SplitMeasures) -> dict[str, float]:
    """The flat numbers of metrics.json: the few that one looks at first."""
    flat: dict[str, float] = {}
    for name in HEADLINE:
        measure = split.measure(name)
        if measure is None:
            continue
        flat[name] = measure.value
        if name == "lift" and measure.low is not None and measure.high is not None:
            flat |= {"lift_low": measure.low, "lift_high": measure.high}
    return flat | {"stories": split.stories}


def _rounded(measure: Measure, with_interval: bool) -> Measure:
    low, high = (measure.low, measure.high) if with_interval else (None, None)
    ends = [None if end is None else round(end, DECIMALS) for end in (low, high)]
    return Measure(round(measure.value, DECIMALS), *ends)
