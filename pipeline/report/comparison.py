"""Other experiments and revisions beside this run, read through DVC's own API."""

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.common.errors import UserError
from pipeline.common.files import read_json
from pipeline.report.chart import Chart, run_chart
from pipeline.report.measures import Measure, Measures, parse_measures
from pipeline.report.wording import wording

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
        if part is not None:
            known = part.figures.get(metric) or part.rows.get("model", {}).get(metric)
            if known is not None:
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


def read_runs(names: list[str], metrics: Path, measures: Path) -> list[Run]:
    """Read the numbers of experiments or revisions of the repository that is worked in.

    Args:
        names: DVC experiment names, branches, tags or commits.
        metrics: path of metrics.json, from the root of the repository. measures: of its full form.

    Raises:
        UserError: for a name that is no experiment and no revision, or that has no metrics.
    """
    return [_read_run(name, metrics, measures) for name in names]


def here(metrics: Path, measures: Measures) -> Run:
    """This run's numbers, from the working directory."""
    return Run(HERE, _flat(read_json(metrics), str(metrics)), measures)


def compare(runs: list[Run], split: str) -> Comparison:
    """Set runs side by side; differences are from the first."""
    first = runs[0]
    names = list(first.metrics.get(split, {}))
    table = []
    for metric in names:
        base = first.metrics[split][metric]
        values = [run.metrics.get(split, {}).get(metric) for run in runs]
        table.append(
            (metric, [Cell(base, None, None), *(_cell(metric, base, v) for v in values[1:])])
        )
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
    higher_is_better = wording(metric).higher_is_better
    better = None if higher_is_better is None or off == 0 else (off > 0) == higher_is_better
    return Cell(value, off, better)


def _read_run(name: str, metrics: Path, measures: Path) -> Run:
    from dvc.exceptions import DvcException

    try:
        flat = json.loads(_read_revision(metrics, name))
    except (FileNotFoundError, DvcException, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"report.compare: {name} has no {metrics} that can be read ({reason}); "
            "name an experiment or revision that was evaluated"
        ) from None
    return Run(name, _flat(flat, f"{metrics} of {name}"), _read_measures(name, measures))


def _flat(content: Any, where: str) -> Flat:
    try:
        return _FLAT.validate_python(content)
    except ValidationError:
        raise UserError(
            f"report.compare: {where} does not hold metrics by split, as the evaluate stage "
            "writes them"
        ) from None


def _read_measures(name: str, path: Path) -> Measures | None:
    """The full numbers of a revision; None where it has none, or its cache is elsewhere."""
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    try:
        content: Any = json.loads(_read_revision(path, name))
        return parse_measures(content, f"{path} of {name}")
    except (FileNotFoundError, DvcException, DataIndexDirError, ValueError, UserError):
        return None


def _read_revision(path: Path, revision: str) -> str:
    """Text of a file as of a revision, tracked by git or by DVC.

    Raises:
        UserError: if there is no such revision. FileNotFoundError: if it has no such file.
    """
    import dvc.api
    from dvc.exceptions import NotDvcRepoError
    from dvc.scm import RevError, SCMError

    try:
        content: str = dvc.api.read(
            path.as_posix(), repo=str(_repository()), rev=revision, encoding="utf-8"
        )
        return content
    except RevError:
        raise UserError(
            f"report.compare: {revision} is neither an experiment nor a git revision here"
            f"{_suggestion(revision)}; dvc exp list --all-commits names the experiments"
        ) from None
    except (NotDvcRepoError, SCMError):
        raise UserError("report.compare needs a git repository with DVC; leave it []") from None


def _repository() -> Path:
    """The root of the repository that knows the experiments.

    A queued or `--temp` experiment runs in a copy beneath `.dvc/tmp` of its repository, and the
    copy knows no other experiment.
    """
    folder = Path.cwd()
    for parent in folder.parents:
        if parent.name == ".dvc" and folder.relative_to(parent).parts[:2] == ("tmp", "exps"):
            return parent.parent
    return folder


def _suggestion(name: str) -> str:
    from dvc.repo import Repo

    with Repo(str(_repository())) as repo:
        listed = repo.experiments.ls(all_commits=True)
        names = [exp for experiments in listed.values() for exp, _ in experiments]
        names += repo.scm.list_branches()
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]}?" if close else ""
