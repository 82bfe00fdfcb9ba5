"""Positions on a dot-and-interval chart: plain numbers that the template draws as inline SVG."""

import math
from dataclasses import dataclass

from pipeline.evaluation.figures import Measure
from pipeline.evaluation.metrics import describe
from pipeline.evaluation.references import GROUND_TRUTH, SHUFFLED, row_name
from pipeline.report.wording import MINUS, number

CHARTED = (
    *("clip_cosine", "judge_cosine", "r1", "entity_f1", "hallucination_rate"),
    *("rouge_l", "cider_d"),
)
"""Metrics of a row that are drawn, in this order, where they were measured."""
MARGIN = 3.0
"""Percent of the width left free on either side, so that a dot at the end is whole."""
MOST_TICKS = 6
STEPS = (1.0, 2.0, 5.0)


@dataclass(frozen=True)
class Axis:
    """A range of values laid over 0 to 100 percent of a width."""

    low: float
    high: float
    ticks: list[float]

    @classmethod
    def over(cls, values: list[float]) -> "Axis":
        """The axis of at most `MOST_TICKS` round ticks that holds all values (and 0 if near)."""
        low, high = min(values), max(values)
        if low > 0 and low < 0.6 * high:
            low = 0.0  # a length from zero is read more honestly, where it costs little room
        span = max(high - low, 0.01 * abs(high), 1e-6)  # equal values need room too
        step = _round_step(span / (MOST_TICKS - 1))
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        last = max(last, first + 1)
        ticks = [round(i * step, 10) for i in range(first, last + 1)]
        return cls(ticks[0], ticks[-1], ticks)

    def at(self, value: float) -> float:
        """Percent of the width, to a hundredth; values outside are put at the edge."""
        share = (value - self.low) / (self.high - self.low)
        return round(MARGIN + min(max(share, 0.0), 1.0) * (100 - 2 * MARGIN), 2)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next((s * power for s in STEPS if s * power >= least * (1 - 1e-9)), 10.0 * power)


@dataclass(frozen=True)
class Bar:
    """One line of a chart; positions in percent."""

    name: str
    """Row of the evaluation, or experiment."""
    label: str
    measure: Measure
    at: float
    low: float | None
    high: float | None
    difference: float | None = None
    """From the first line, where lines are compared with it."""


@dataclass(frozen=True)
class Chart:
    """Lines over one axis, the best first unless they are experiments."""

    metric: str
    bars: list[Bar]
    ticks: list[tuple[float, str]]
    """Position and label."""
    span: tuple[float, float] | None = None
    """From the floor (another story's caption) to the ceiling (the true one)."""


def row_chart(metric: str, rows: dict[str, Measure]) -> Chart:
    """Draw a metric's rows, the best first."""
    better_first = -1 if describe(metric).higher_is_better else 1
    order = sorted(rows, key=lambda row: better_first * rows[row].value)
    axis = _axis(list(rows.values()))
    span = None
    if {SHUFFLED, GROUND_TRUTH} <= rows.keys():
        ends = sorted(axis.at(rows[row].value) for row in (SHUFFLED, GROUND_TRUTH))
        span = (ends[0], ends[1])
    bars = [_bar(axis, row, row_name(row), rows[row]) for row in order]
    return Chart(metric, bars, _ticks(axis, metric), span)


def run_chart(metric: str, runs: dict[str, Measure]) -> Chart:
    """Draw one metric of several runs in the given order, with the differences from the first."""
    axis = _axis(list(runs.values()))
    first = next(iter(runs.values())).value
    bars = [
        _bar(axis, name, name, measure, None if i == 0 else measure.value - first)
        for i, (name, measure) in enumerate(runs.items())
    ]
    return Chart(metric, bars, _ticks(axis, metric))


def _axis(measures: list[Measure]) -> Axis:
    ends = [end for m in measures for end in (m.value, m.low, m.high) if end is not None]
    return Axis.over(ends)


def _bar(
    axis: Axis, name: str, label: str, measure: Measure, difference: float | None = None
) -> Bar:
    return Bar(
        name,
        label,
        measure,
        axis.at(measure.value),
        None if measure.low is None else axis.at(measure.low),
        None if measure.high is None else axis.at(measure.high),
        difference,
    )


def _ticks(axis: Axis, metric: str) -> list[tuple[float, str]]:
    style = describe(metric).style

    def label(tick: float) -> str:
        if style == "number":  # as short as round ticks are: not to three decimals
            return number(tick, "count") if tick == round(tick) else f"{tick:g}".replace("-", MINUS)
        return number(tick, style)

    return [(axis.at(tick), label(tick)) for tick in axis.ticks]
