"""The dataset table: what became of the stories read, and figures of those that were kept."""

from collections import Counter
from statistics import fmean, median, pvariance
from typing import Any

from pipeline.prepare.distributions import Distributions
from pipeline.prepare.examination import REASONS, Refusal, Story
from pipeline.stories.schema import SPLITS, STORY_SCHEMA


class Summary:
    """Figures of a dataset, gathered story by story."""

    def __init__(self) -> None:
        self._read: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._count_given = self._count_valid = 0
        self._cut = self._renamed = self._elsewhere = 0
        self.distributions = Distributions()

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
        self.distributions.add(outcome)

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
        the variance is the population's. Without stories, figures are 0: JSON has no NaN.
        """
        valid = self._count_valid / self._count_given if self._count_given else 1.0
        frames, words = self.distributions.frames, self.distributions.words
        middle = median(frames.elements()) if frames else 0
        variance = pvariance(words.elements()) if words else 0
        return {
            "stories": {split: self._read[split] for split in SPLITS},
            "kept": {split: self._kept[split] for split in SPLITS},
            "columns": len(STORY_SCHEMA),
            "duplicates": self._refused["duplicate_id"],
            "cut": self._cut,
            "renamed": self._renamed,
            "in_both_splits": self._elsewhere,
            "frame_count_valid": round(valid, 4),
            "frames": words.total(),
            "frames_per_story": {
                "mean": _mean(frames),
                "median": float(middle),
                "min": min(frames, default=0),
                "max": max(frames, default=0),
            },
            "words_per_caption": {
                "mean": _mean(words),
                "variance": round(float(variance), 4),
            },
            "image_width": _size(self.distributions.widths),
            "image_height": _size(self.distributions.heights),
            "quarantined": {
                "total": self._refused.total(),
                **{kind: self._refused[kind] for kind in REASONS},
            },
        }


def _mean(counts: Counter[int]) -> float:
    return round(fmean(counts, counts.values()), 4) if counts else 0.0


def _size(counts: Counter[int]) -> dict[str, float]:
    return {
        "min": min(counts, default=0),
        "mean": _mean(counts),
        "max": max(counts, default=0),
    }
