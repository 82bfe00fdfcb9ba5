"""A measured ratio and its goal, and how two things are timed fairly on one noisy machine."""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.common.files import write_json


@dataclass(frozen=True)
class Ratio:
    """One line of the table: how two measurements of one run compare, and how they should."""

    what: str
    """Measured thing against baseline, in words."""
    value: float
    goal: float
    at_least: bool = True
    """Whether the goal is a floor; else it is a ceiling."""
    unit: str = "x"
    """`x` for a ratio; `s` where the goal is a time."""
    figures: dict[str, float] = field(default_factory=dict)
    """What the value was made from, by a name that ends in its unit."""

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def as_json(self) -> dict[str, Any]:
        """Plain values, `met` among them."""
        return {**asdict(self), "met": self.met}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Ratio":
        """What `as_json` gave."""
        return cls(**{name: value for name, value in values.items() if name != "met"})

    def __str__(self) -> str:
        """One line to print."""
        unit = f" {self.unit}" if self.unit else ""
        bound = "at least" if self.at_least else "at most"
        verdict = "met" if self.met else "not met"
        return f"{self.what}: {self.value:.2f}{unit} (goal: {bound} {self.goal:g}{unit}, {verdict})"


def write_ratios(path: Path, ratios: Iterable[Ratio]) -> None:
    """Write ratios as a JSON list, in their order."""
    write_json(path, [ratio.as_json() for ratio in ratios])


def interleaved(rounds: int, **measured: Callable[[], Any]) -> dict[str, float]:
    """Time several functions in turn, round by round, so that all meet the same machine.

    A shared machine is at times half as fast as at others; timed one after the other, whichever
    meets the slow minutes loses. Each is called once before the first round, unmeasured.

    Returns:
        Median of the seconds that one call of each took.
    """
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for function in measured.values():
        function()
    for _ in range(rounds):
        for name, function in measured.items():
            started = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}
