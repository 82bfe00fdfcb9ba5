"""The dataset table: running sums over stories, and the figures that are published from them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pipeline.prepare.examination import REASONS, Refusal, Story
from pipeline.stories.schema import SPLITS, STORY_SCHEMA


@dataclass
class Spread:
    """Mean, variance, median, least and greatest of whole numbers, from counts of each value.

    Exact, and as small as the range of the values is, however many are added.
    """

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, value: int) -> None:
        """Count one value."""
        self.counts[value] += 1

    @property
    def n(self) -> int:
        """The number of values."""
        return self.counts.total()

    @property
    def total(self) -> int:
        """The sum of the values."""
        return sum(value * count for value, count in self.counts.items())

    @property
    def mean(self) -> float:
        """The mean; 0 without values, as the figures below are (JSON has no NaN)."""
        return self.total / self.n if self.counts else 0.0

    @property
    def variance(self) -> float:
        """The population variance."""
        if not self.counts:
            return 0.0
        squares = sum(value * value * count for value, count in self.counts.items())
        return (squares * self.n - self.total**2) / self.n**2

    @property
    def median(self) -> float:
        """The median: the mean of the two middle values where their number is even."""
        if not self.counts:
            return 0.0
        return (self._ranked((self.n - 1) // 2) + self._ranked(self.n // 2)) / 2

    @property
    def least(self) -> int:
        """The smallest value."""
        return min(self.counts, default=0)

    @property
    def greatest(self) -> int:
        """The largest value."""
        return max(self.counts, default=0)

    def _ranked(self, rank: int) -> int:
        """The value that has `rank` values before it when all are sorted."""
        seen = 0
        for value in sorted(self.counts):
            seen += self.counts[value]
            if seen > rank:
                return value
        raise IndexError(rank)


class Summary:
    """Figures of a dataset, gathered story by story."""

    def __init__(self) -> None:
        self._read: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._count_given = self._count_valid = 0
        self._cut = self._renamed = self._elsewhere = 0
        self._frames = Spread()
        self._words = Spread()
        self._widths = Spread()
        self._heights = Spread()

    def add(
        self, split: str, row: dict[str, Any], outcome: Story | Refusal, elsewhere: bool
    ) -> None:
        """Count one row and what became of it; `elsewhere`: another split has the same story."""
        self._read[split] += 1
        if (counted := row.get("frame_count")) is not None:
            self._count_given += 1
            self._count_valid += row["images"] is not None and counted == len(row["images"])
        if isinstance(outcome, Refusal):
            self._refused[outcome.kind] += 1
            return
        self._kept[split] += 1
        self._cut += outcome.cut is not None
        self._renamed += outcome.story_id != row["story_id"]
        self._elsewhere += elsewhere
        self._frames.add(len(outcome.captions))
        for caption in outcome.captions:
            self._words.add(len(caption.split()))
        for width, height in outcome.sizes:
            self._widths.add(width)
            self._heights.add(height)

    @property
    def read(self) -> int:
        """Stories read."""
        return self._read.total()

    @property
    def kept(self) -> int:
        """Stories that passed."""
        return self._kept.total()

    def sentence(self) -> str:
        """Say in one line how many stories were kept and why the others were not."""
        line = f"{self.kept} of {self.read} stories kept, {self._refused.total()} refused"
        if self._refused:
            kinds = [f"{self._refused[kind]} {kind}" for kind in REASONS if self._refused[kind]]
            line += f" ({', '.join(kinds)})"
        if self._cut:
            line += f", {self._cut} cut before a bad frame"
        if self._renamed:
            line += f", {self._renamed} named split/id since both splits have the id"
        return line

    def warning(self) -> str | None:
        """Say that stories leak from train to test, if any do."""
        if not self._elsewhere:
            return None
        return (
            f"{self._elsewhere} of the test stories kept are train stories too, picture by picture "
            "and word by word: unless split.test is carved, their scores say nothing; take them "
            "out of one of the two"
        )

    def table(self) -> dict[str, Any]:
        """Give the dataset table as nested numbers, small enough for `dvc metrics show`.

        `stories`, `columns`, `duplicates`, `frame_count_valid` and `quarantined` are about all rows
        read; the rest is about stories kept. `frame_count_valid` is a share of the rows that give
        one, 1 if none does. `cut`: stories that end before a bad frame. `renamed`: stories named
        `split/id`, both splits having the id. `in_both_splits`: stories of test whose pictures and
        captions are those of a story of train. Sizes are in pixels, words are separated by spaces,
        the variance is the population's.
        """
        valid = self._count_valid / self._count_given if self._count_given else 1.0
        return {
            "stories": {split: self._read[split] for split in SPLITS},
            "kept": {split: self._kept[split] for split in SPLITS},
            "columns": len(STORY_SCHEMA),
            "duplicates": self._refused["duplicate_id"],
            "cut": self._cut,
            "renamed": self._renamed,
            "in_both_splits": self._elsewhere,
            "frame_count_valid": round(valid, 4),
            "frames": self._frames.total,
            "frames_per_story": {
                "mean": round(self._frames.mean, 4),
                "median": self._frames.median,
                "min": self._frames.least,
                "max": self._frames.greatest,
            },
            "words_per_caption": {
                "mean": round(self._words.mean, 4),
                "variance": round(self._words.variance, 4),
            },
            "image_width": _size(self._widths),
            "image_height": _size(self._heights),
            "quarantined": {
                "total": self._refused.total(),
                **{kind: self._refused[kind] for kind in REASONS},
            },
        }


def _size(spread: Spread) -> dict[str, float]:
    return {"min": spread.least, "mean": round(spread.mean, 4), "max": spread.greatest}
