"""The evaluation's numbers as the report reads them: `metrics_full.json`, checked and typed."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.files import read_json

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


def parse_measures(content: Any, where: str) -> Measures:
    """Check and type the content of a `metrics_full.json`; `where` names it in the UserError."""
    try:
        splits = {
            split: SplitMeasures(
                stories=int(part["stories"]),
                rows={row: _measures(metrics) for row, metrics in part["rows"].items()},
                figures=_measures(part["figures"]),
            )
            for split, part in content["splits"].items()
        }
        if not splits:
            raise ValueError("no split")
        return Measures(dict(content.get("settings") or {}), splits)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{where} does not hold what the evaluate stage writes ({error!r}); "
            "run it again (dvc repro evaluate)"
        ) from None


def _measures(values: dict[str, dict[str, float | None]]) -> dict[str, Measure]:
    """Measures by name; one without a value (nothing to measure) is left out."""
    return {
        name: Measure(_number(entry["value"]), entry.get("low"), entry.get("high"))
        for name, entry in values.items()
        if entry["value"] is not None
    }


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is not a number")
    return number
