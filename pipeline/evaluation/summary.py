"""Figures of a split with their intervals, the settings behind them, and the headline of it all."""

from collections.abc import Mapping
from typing import Any

from pipeline.evaluation.bootstrap import DRAWS, LEVEL, Figure, Interval, intervals
from pipeline.evaluation.figures import OF_THE_CAPTIONS_TOGETHER
from pipeline.evaluation.judge import Judge
from pipeline.evaluation.references import COPY_LAST, GROUND_TRUTH, MODEL, NO_PREFIX, SHUFFLED
from pipeline.evaluation.scorer import CaptionScorer
from pipeline.evaluation.tokens import TOKENIZER

DECIMALS = 6

Measured = dict[str, float | None]
"""`value`, `low`, `high`; the last two None where there is no interval."""
SplitSummary = dict[str, Any]
"""`stories`; `rows`: row -> metric -> Measured; `figures`: name -> Measured."""

HEADLINE = {
    "clip_cosine": (MODEL, "clip_cosine"),
    "clipscore": (MODEL, "clipscore"),
    **{
        f"clip_cosine_{row}": (row, "clip_cosine")
        for row in (GROUND_TRUTH, SHUFFLED, COPY_LAST, NO_PREFIX)
    },
    "lift": "lift",
    f"lift_{COPY_LAST}": f"lift_{COPY_LAST}",
    f"lift_{NO_PREFIX}": f"lift_{NO_PREFIX}",
    "judge_lift": "judge_lift",
    "r1": (MODEL, "r1"),
    "cider_d": (MODEL, "cider_d"),
    "words": (MODEL, "words"),
    "distinct": (MODEL, "distinct"),
    **{
        name: name
        for name in (
            "loss",
            "nll",
            "loss_img",
            "loss_align",
            "nll_other_prefix",
            "image_r1",
            "image_r1_copy_last",
            "d_accuracy_generated",
            "d_accuracy_shuffled",
        )
    },
}
"""Names in metrics.json -> a row's metric, or a figure."""


def summarise(
    rows: Mapping[str, Mapping[str, Figure]],
    figures: Mapping[str, Figure],
    losses: Mapping[str, float],
    stories: int,
    seed: int,
) -> SplitSummary:
    """Work out every figure and its interval; all see the same draws."""
    every = {(row, name): figure for row, of in rows.items() for name, figure in of.items()}
    every |= {("", name): figure for name, figure in figures.items()}
    told = {
        key: _measured(interval, with_interval=key[1] not in OF_THE_CAPTIONS_TOGETHER)
        for key, interval in intervals(every, stories, seed).items()
    }
    alone = {name: Interval(value, None, None) for name, value in losses.items()}
    return {
        "stories": stories,
        "rows": {
            row: {name: told[row, name] for name in of if (row, name) in told}
            for row, of in rows.items()
        },
        "figures": {name: told["", name] for name in figures if ("", name) in told}
        | {name: _measured(value) for name, value in alone.items()},
    }


def headline(summary: SplitSummary) -> dict[str, float]:
    """The flat numbers of metrics.json: the few that one looks at first."""
    flat: dict[str, float] = {}
    for name, where in HEADLINE.items():
        source = summary["figures"] if isinstance(where, str) else summary["rows"].get(where[0], {})
        found = source.get(where if isinstance(where, str) else where[1])
        if found is None:
            continue
        flat[name] = found["value"]
        if name == "lift" and found["low"] is not None:
            flat |= {"lift_low": found["low"], "lift_high": found["high"]}
    return flat | {"stories": summary["stories"]}


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


def _measured(interval: Interval, with_interval: bool = True) -> Measured:
    low, high = (interval.low, interval.high) if with_interval else (None, None)
    return {
        name: None if value is None else round(value, DECIMALS)
        for name, value in (("value", interval.value), ("low", low), ("high", high))
    }
