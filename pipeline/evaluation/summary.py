"""Metrics of a split with their intervals, the settings behind them, and the headline of it all."""

from collections.abc import Mapping
from typing import Any

from pipeline.evaluation.bootstrap import DRAWS, LEVEL, intervals
from pipeline.evaluation.figures import Measure
from pipeline.evaluation.judge import Judge
from pipeline.evaluation.metrics import HEADLINE, METRICS, Columns, row_figures, split_figures
from pipeline.evaluation.overlap import TOKENIZER
from pipeline.evaluation.results import SplitMeasures
from pipeline.evaluation.scorer import CaptionScorer

DECIMALS = 6


def summarise(rows: Mapping[str, Columns], own: Columns, stories: int, seed: int) -> SplitMeasures:
    """Work out every metric and its interval; all see the same draws.

    Args:
        rows: row -> its columns. own: the split's columns, as `split_figures` takes them.
    """
    figures = {(row, name): f for row, of in rows.items() for name, f in row_figures(of).items()}
    figures |= {("", name): figure for name, figure in split_figures(rows, own).items()}
    measures = {
        key: _rounded(measure, METRICS[key[1]].interval)
        for key, measure in intervals(figures, stories, seed).items()
    }

    def of(row: str) -> dict[str, Measure]:
        return {name: measure for (of, name), measure in measures.items() if of == row}

    return SplitMeasures(stories, {row: of(row) for row in rows}, of(""))


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


def settings(scorer: CaptionScorer, judge: Judge | None, seed: int) -> dict[str, Any]:
    """What the numbers depend on besides the model and the stories."""
    return {
        "clip": scorer.clip.folder.model,
        "judge": None if judge is None else judge.model,
        "clip_prefix": scorer.prefix,
        "tokenizer": TOKENIZER,
        "draws": DRAWS,
        "level": LEVEL,
        "seed": seed,
    }


def _rounded(measure: Measure, with_interval: bool) -> Measure:
    low, high = (measure.low, measure.high) if with_interval else (None, None)
    ends = [None if end is None else round(end, DECIMALS) for end in (low, high)]
    return Measure(round(measure.value, DECIMALS), *ends)
