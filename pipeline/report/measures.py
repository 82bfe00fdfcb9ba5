"""The evaluation's numbers as the report reads them: `metrics_full.json`, checked and typed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.common.errors import UserError
from pipeline.common.files import read_json

METRICS_FILE = "metrics_full.json"


@dataclass(frozen=True)
class Measure:
    """A number, and its bootstrap interval over stories where one was computed."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SplitMeasures:
    """One split: the metrics of each row, and the figures that belong to no single row."""

    stories: int
    rows: dict[str, dict[str, Measure]]
    """Row (model, ground_truth, ...) -> metric -> measure."""
    figures: dict[str, Measure]

    def metric(self, name: str) -> dict[str, Measure]:
        """Row -> measure, of the rows that have this metric, in the order of the file."""
        return {row: metrics[name] for row, metrics in self.rows.items() if name in metrics}


@dataclass(frozen=True)
class Measures:
    """All splits, and the settings that they were measured with."""

    settings: dict[str, Any]
    splits: dict[str, SplitMeasures]

    @property
    def headline(self) -> str:
        """The split to report first: test, or what there is."""
        return "test" if "test" in self.splits else next(iter(self.splits))


def read_measures(path: Path) -> Measures:
    """Read what the evaluate stage wrote.

    Raises:
        UserError: if the file is missing, or does not hold splits of rows and figures.
    """
    return parse_measures(read_json(path), str(path))


class _Entry(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    value: float | None
    low: float | None = None
    high: float | None = None


class _Split(BaseModel):
    stories: int
    rows: dict[str, dict[str, _Entry]]
    figures: dict[str, _Entry]


class _Full(BaseModel):
    settings: dict[str, Any] = {}
    splits: dict[str, _Split] = Field(min_length=1)


def parse_measures(content: Any, where: str) -> Measures:
    """Check and type the content of a `metrics_full.json`; `where` names it in the UserError."""
    try:
        full = _Full.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the whole file"
        raise UserError(
            f"{where} does not hold what the evaluate stage writes ({key[:100]}: {first['msg']}); "
            "run it again (dvc repro evaluate)"
        ) from None
    splits = {
        split: SplitMeasures(
            stories=part.stories,
            rows={row: _measures(metrics) for row, metrics in part.rows.items()},
            figures=_measures(part.figures),
        )
        for split, part in full.splits.items()
    }
    return Measures(full.settings, splits)


def _measures(entries: dict[str, _Entry]) -> dict[str, Measure]:
    """Measures by name; one without a value (nothing to measure) is left out."""
    return {
        name: Measure(entry.value, entry.low, entry.high)
        for name, entry in entries.items()
        if entry.value is not None
    }
