"""The evaluation of a trained generator on val and test, from features alone.

Always on the first window of a story: frames 0..K-1 are read, frame K is told. Stories pass in
chunks; what is kept of each is a few numbers, and its line in predictions.jsonl.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from pipeline.errors import UserError
from pipeline.evaluation.captions import score_captions
from pipeline.evaluation.images import image_retrieval
from pipeline.evaluation.likelihood import likelihood
from pipeline.evaluation.scorer import CaptionScorer
from pipeline.evaluation.stories import SplitStories
from pipeline.evaluation.tally import SplitTally
from pipeline.features.store import FeatureStore
from pipeline.files import write_json, write_jsonl
from pipeline.model.generator import StoryGenerator
from pipeline.model.prompt import PromptBuilder
from pipeline.params import GenerateParams, LossParams
from pipeline.training.supervised import SupervisedObjective

SPLITS = ("val", "test")
DECIMALS = 6
PREDICTIONS_FILE = "predictions.jsonl"

Metrics = dict[str, float]


@dataclass(frozen=True)
class Subject:
    """What is evaluated, and how."""

    generator: StoryGenerator
    """In eval mode."""
    prompts: PromptBuilder
    scorer: CaptionScorer
    generate: GenerateParams
    loss: LossParams
    """The weights that the generator was trained with."""
    loss_batch_size: int
    """Its training batch size: the contrastive losses depend on it."""
    seed: int
    """Of nucleus samples, and of which other story stands against each."""


def evaluate(
    subject: Subject,
    frames: pa.Table,
    splits: dict[str, list[str]],
    images: FeatureStore,
    texts: FeatureStore,
    out: Path,
    metrics_path: Path,
) -> dict[str, Metrics]:
    """Score val and test, and write metrics, predictions and score histograms, each at once.

    A split without stories is left out, with a line on stderr; in a split of one story, what
    needs another story is left out (`clip_cosine_shuffled`, the lifts, `nll_other_prefix`, R@1).

    Args:
        frames: the frames table with `pipeline.evaluation.stories.COLUMNS`.
        splits: split -> story ids, as the split stage wrote them.
        out: folder for predictions.jsonl and score_histogram_{val,test}.json.
        metrics_path: {"val": {...}, "test": {...}}, rounded to 6 decimals; written last.

    Raises:
        UserError: if neither split has a story of K+1 frames, or features are missing.
    """
    chosen = [story for split in SPLITS for story in splits[split]]
    frames = frames.filter(pc.is_in(frames.column("story_id"), pa.array(chosen, pa.string())))
    stories = {
        split: SplitStories.make(
            frames, images, texts, splits[split], subject.generator.config.k, subject.seed
        )
        for split in SPLITS
    }
    for split in [split for split in SPLITS if not len(stories[split])]:
        print(f"evaluate: split {split} has no stories, so it has no metrics", file=sys.stderr)
        del stories[split]
    if not stories:
        raise UserError(
            "neither val nor test has a story to evaluate on: raise dataset.sample.stories, "
            "dataset.limit_stories or split.val_fraction, or lower context.k"
        )
    metrics: dict[str, Metrics] = {}
    write_jsonl(out / PREDICTIONS_FILE, _evaluate_splits(subject, stories, out, metrics))
    write_json(metrics_path, metrics)
    return metrics


def _evaluate_splits(
    subject: Subject, stories: dict[str, SplitStories], out: Path, metrics: dict[str, Metrics]
) -> Iterator[dict[str, Any]]:
    """Yield the record of every prediction; put the metrics of a split in place at its end."""
    objective = SupervisedObjective(subject.generator, subject.loss)
    for split, part in stories.items():
        tally = SplitTally()
        with _bar(f"{split} captions", 2 * len(part)) as bar:
            yield from score_captions(
                split,
                part,
                subject.generator,
                subject.prompts,
                subject.scorer,
                subject.generate,
                subject.seed,
                tally,
                bar.update,
            )
        figures = tally.metrics()
        passes = 1 if part.order is None else 2
        with _bar(f"{split} likelihood", passes * len(part)) as bar:
            figures |= likelihood(
                objective, part, subject.prompts, subject.loss_batch_size, bar.update
            )
        if len(part) > 1:
            figures |= image_retrieval(subject.generator, part)
        figures["stories"] = len(part)
        write_json(out / f"score_histogram_{split}.json", tally.histogram.rows())
        metrics[split] = {name: round(value, DECIMALS) for name, value in figures.items()}


def _bar(what: str, total: int) -> "tqdm[Any]":
    return tqdm(desc=what, total=total, unit="story" if "likelihood" in what else "caption")
