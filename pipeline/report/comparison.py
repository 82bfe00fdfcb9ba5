"""Other experiments and revisions beside this run, read through DVC's own API."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.common.errors import UserError
from pipeline.common.files import parse_json, read_json
from pipeline.evaluation.figures import Measure
from pipeline.evaluation.metrics import describe
from pipeline.evaluation.results import Measures, parse_measures
from pipeline.report.chart import Chart, run_chart
from pipeline.repository.revisions import read_revision

HERE = "this run"
CHARTED = ("lift", "clip_cosine", "nll")

Flat = dict[str, dict[str, float]]
"""Split -> metric -> value: metrics.json."""
_FLAT = TypeAdapter(Flat)


@dataclass(frozen=True)
class Run:
    """The numbers of one experiment."""

    name: str
    metrics: Flat
    measures: Measures | None
    """With intervals, where the revision has them and its cache is here."""

    def measure(self, split: str, metric: str) -> Measure | None:
        """A number of a split, with its interval where there is one."""
        part = self.measures.splits.get(split) if self.measures else None
        if part is not None and (known := part.measure(metric)) is not None:
            return known
        value = self.metrics.get(split, {}).get(metric)
        return None if value is None else Measure(float(value))


@dataclass(frozen=True)
class Cell:
    """A number of a run, and what it is off from this run's."""

    value: float | None
    difference: float | None
    better: bool | None
    """None where neither can be said, or nothing differs."""


@dataclass(frozen=True)
class Comparison:
    """This run, first, and the others, in one split."""

    split: str
    runs: list[Run]
    charts: list[Chart]
    table: list[tuple[str, list[Cell]]]
    """Metric, and a cell per run."""


def read_run(name: str, metrics: Path, measures: Path) -> Run:
    """Read the numbers of an experiment or revision of the repository that is worked in.

    Args:
        name: a DVC experiment, branch, tag or commit.
        metrics: path of metrics.json, from the root of the repository. measures: of its full form.

    Raises:
        UserError: the name is no experiment and no revision, or has no metrics.
    """

    def content(path: Path) -> tuple[Any, str]:
        where = f"{path} of {name}"
        return parse_json(read_revision(name, path), where, "name another revision"), where

    try:
        flat = _flat(*content(metrics))
    except UserError as error:
        raise UserError(f"report.compare: {error}") from None
    try:
        return Run(name, flat, parse_measures(*content(measures)))
    except UserError:  # it was made before there were any, or its cache is elsewhere
        return Run(name, flat, None)


def here(metrics: Path, measures: Measures) -> Run:
    """This run's numbers, from the working directory."""
    return Run(HERE, _flat(read_json(metrics), str(metrics)), measures)


def compare(runs: list[Run], split: str) -> Comparison:
    """Set runs side by side; differences are from the first."""
    first = runs[0]
    table = []
    for metric, base in first.metrics.get(split, {}).items():
        others = (run.metrics.get(split, {}).get(metric) for run in runs[1:])
        cells = [Cell(base, None, None), *(_cell(metric, base, value) for value in others)]
        table.append((metric, cells))
    charts = []
    for metric in CHARTED:
        measured = {run.name: run.measure(split, metric) for run in runs}
        present = {name: measure for name, measure in measured.items() if measure is not None}
        if first.name in present and len(present) > 1:
            charts.append(run_chart(metric, present))
    return Comparison(split, runs, charts, table)


def _cell(metric: str, base: float, value: float | None) -> Cell:
    if value is None:
        return Cell(None, None, None)
    off = value - base
    higher_is_better = describe(metric).higher_is_better
    better = None if higher_is_better is None or off == 0 else (off > 0) == higher_is_better
    return Cell(value, off, better)


def _flat(content: Any, where: str) -> Flat:
    try:
        return _FLAT.validate_python(content)
    except ValidationError:
        raise UserError(
            f"{where} does not hold metrics by split, as the evaluate stage writes them"
        ) from None
