"""A small evaluation as the evaluate stage leaves it: stories, predictions and full metrics."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.common.checksums import write_sums
from pipeline.common.files import jsonl_writer, write_json
from pipeline.report.report import write_report
from pipeline.stories.schema import write_stories
from tests.stories.story_rows import encoded_image, story_row

ROWS = {
    "model": 0.5,
    "ground_truth": 0.8,
    "shuffled": 0.1,
    "copy_last": 0.3,
    "no_prefix": 0.2,
}
"""Row -> its mean cosine."""


def measure(value: float, spread: float | None = 0.02) -> dict[str, float | None]:
    """An entry of metrics_full.json, with the interval value - spread to value + spread."""
    if spread is None:
        return {"value": value, "low": None, "high": None}
    return {"value": value, "low": round(value - spread, 6), "high": round(value + spread, 6)}


def full_metrics(stories: dict[str, int]) -> dict[str, Any]:
    """The contents of metrics_full.json for splits of so many stories."""
    rows: dict[str, Any] = {
        row: {
            "clip_cosine": measure(cosine),
            "judge_cosine": measure(cosine - 0.05),
            "r1": measure(cosine / 2),
            "r5": measure(cosine),
            "r10": measure(min(1.0, cosine + 0.2)),
            "words": measure(40.0 if row == "model" else 42.0, 1.0),
        }
        for row, cosine in ROWS.items()
    }
    rows["model"] |= {"finished": measure(0.5), "distinct": measure(1.0, None)}
    figures = {
        "lift": measure(0.571429, 0.05),
        "judge_lift": measure(0.55, 0.05),
        "nll": measure(1.5),
        "nll_other_prefix": measure(1.9, None),
    }
    return {
        "settings": {"clip": "data/sample/clip", "judge": None, "clip_prefix": "", "draws": 100},
        "splits": {
            split: {"stories": count, "rows": rows, "figures": figures}
            for split, count in stories.items()
        },
    }


def prediction(split: str, number: int, **changes: Any) -> dict[str, Any]:
    """A line of predictions.jsonl about the story in row `number` of the split's raw file."""
    file = "test/00000.parquet" if split == "test" else "train/00000.parquet"
    draw = random.Random(f"{split}{number}")
    scores = {row: round(cosine + draw.uniform(-0.2, 0.2), 6) for row, cosine in ROWS.items()}
    record = {
        "split": split,
        "story_id": f"{split}-{number}",
        "context": [f"Frame {i} of story {number} is told." for i in range(1, 5)],
        "context_images": [{"file": file, "row": number, "index": i} for i in range(4)],
        "target_image": {"file": file, "row": number, "index": 4},
        "reference": f"The lantern of story {number} went out at last.",
        "prediction": f"A lantern shone in story {number}.",
        "finished": number % 2 == 0,
        "score": scores["model"],
        "reference_score": scores["ground_truth"],
        "scores": scores,
        "judge_score": round(scores["model"] - 0.05, 6),
        "judge_scores": {row: round(score - 0.05, 6) for row, score in scores.items()},
        "captions": {"no_prefix": "A lantern."},
        "rank": number + 1,
    }
    return record | changes


@dataclass(frozen=True)
class Evaluation:
    """The files of an evaluation."""

    root: Path

    @property
    def raw(self) -> Path:
        return self.root / "data" / "raw"

    @property
    def folder(self) -> Path:
        return self.root / "data" / "eval"

    @property
    def page(self) -> Path:
        return self.root / "data" / "report" / "index.html"

    def records(self) -> list[dict[str, Any]]:
        lines = (self.folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def report(
        self,
        max_stories: int = 100,
        max_bytes: int = 15_000_000,
        compared: list[str] | None = None,
    ) -> str:
        """Write the report and return the page."""
        size = write_report(
            self.folder,
            self.raw,
            self.root / "metrics.json",
            self.page.parent,
            max_stories,
            max_bytes,
            compared or [],
        )
        assert size == self.page.stat().st_size <= max_bytes
        return self.page.read_text(encoding="utf-8")


Evaluate = Callable[..., Evaluation]


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    """Write an evaluation of so many stories; `changes` edit the records of single test stories."""
    return lambda *arguments, **options: write_evaluation(tmp_path, *arguments, **options)


def write_evaluation(
    root: Path,
    test: int = 6,
    val: int = 3,
    changes: dict[int, dict[str, Any]] | None = None,
    size: tuple[int, int] = (640, 320),
) -> Evaluation:
    evaluation = Evaluation(root)
    counts = {"val": val, "test": test}
    for split, count in counts.items():
        folder = evaluation.raw / ("test" if split == "test" else "train")
        images = [
            [{"bytes": encoded_image((40 * n + 9 * i) % 256, size), "path": None} for i in range(5)]
            for n in range(count)
        ]
        rows = (story_row(f"{split}-{n}", images=images[n]) for n in range(count))
        write_stories(rows, folder)
    present = {split: count for split, count in counts.items() if count}
    records = [
        prediction(split, n, **(changes or {}).get(n, {}) if split == "test" else {})
        for split, count in present.items()
        for n in range(count)
    ]
    with jsonl_writer(evaluation.folder / "predictions.jsonl") as write:
        for record in records:
            write(record)
    write_json(evaluation.folder / "metrics_full.json", full_metrics(present))
    write_sums(evaluation.folder)
    flat = {"clip_cosine": 0.5, "lift": 0.571429, "nll": 1.5}
    write_json(evaluation.root / "metrics.json", dict.fromkeys(present, flat))
    return evaluation
