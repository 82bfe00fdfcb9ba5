"""The evaluation of a trained generator on val and test, from features alone.

Always on the first window of a story: frames 0..K-1 are read, frame K is predicted. Stories pass in
pools; what is kept of each is a few numbers, the embedding of its target and of its prediction,
and its line in predictions.jsonl.
"""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.captioning.choose import Captioner
from pipeline.captioning.generate import Caption, generate_captions, story_seed
from pipeline.common.checksums import replacing_folder
from pipeline.common.errors import UserError
from pipeline.common.files import jsonl_writer, write_json
from pipeline.common.progress import progress_bar
from pipeline.dataset.story_dataset import StoryDataset
from pipeline.evaluation.annotated import AnnotationScorer
from pipeline.evaluation.bootstrap import DRAWS, LEVEL
from pipeline.evaluation.discriminator import DiscriminatorScorer
from pipeline.evaluation.images import image_ranks, predict_embeddings
from pipeline.evaluation.judge import Judge
from pipeline.evaluation.likelihood import likelihood
from pipeline.evaluation.metrics import Columns
from pipeline.evaluation.nearest import nearest_captions
from pipeline.evaluation.overlap import TOKENIZER
from pipeline.evaluation.plots import write_plots
from pipeline.evaluation.records import story_records
from pipeline.evaluation.references import (
    GENERATED,
    MODEL,
    NEAREST_TRAIN,
    NO_PREFIX,
    ROWS,
    reference_frames,
)
from pipeline.evaluation.results import (
    MEASURES_FILE,
    PREDICTIONS_FILE,
    Measures,
    Record,
    SplitMeasures,
)
from pipeline.evaluation.scorer import CaptionScorer
from pipeline.evaluation.scores import CAPTION_POOL, score_rows
from pipeline.evaluation.stories import COLUMNS, SplitStories
from pipeline.evaluation.summary import headline, summarise
from pipeline.evaluation.targets import PoolTargets, SplitTargets
from pipeline.features.store import FeatureStore
from pipeline.params import LossParams
from pipeline.stories.frames import read_frames

SPLITS = ("val", "test")


@dataclass(frozen=True)
class Subject:
    """What is evaluated, and how."""

    captioner: Captioner
    """What writes the captions that are scored."""
    scorer: CaptionScorer
    judge: Judge | None
    discriminator: DiscriminatorScorer | None
    """The one that it was trained against, if any."""
    loss: LossParams
    """The weights that the generator was trained with."""
    loss_batch_size: int
    """Its training batch size: the contrastive losses depend on it."""
    seed: int
    """Of nucleus samples, of which other story or frame stands against each, of the bootstrap."""


def evaluate(
    subject: Subject,
    frames: Path,
    annotations: Path,
    splits: dict[str, list[str]],
    images: FeatureStore,
    texts: FeatureStore,
    out: Path,
    metrics_path: Path,
) -> dict[str, dict[str, float]]:
    """Score val and test, and write metrics, predictions and plots, each at once.

    A split without stories is left out, with a line on stderr; in a split of one story, what
    needs another story is left out (the row `shuffled`, lifts, `nll_other_prefix`, retrieval).

    Args:
        frames: the frames table, frames.parquet.
        annotations: that of their annotations, annotations.parquet.
        splits: split -> story ids, as the split stage wrote them.
        out: folder for predictions.jsonl, metrics_full.json, what `write_plots` writes, and the
            SHA256SUMS of them; an older one is replaced when all are there.
        metrics_path: {"val": {...}, "test": {...}}, the headline; written last.

    Raises:
        UserError: if neither split has a story of K+1 frames, features are missing, or the
            annotations are not of these frames.
    """
    chosen = [story for split in SPLITS for story in splits[split]]
    table = read_frames(frames, COLUMNS, {"story_id": chosen})
    k = subject.captioner.generator.config.k
    stories = {}
    for split in SPLITS:
        windows = StoryDataset.cut(table, images, texts, splits[split], k, "first")
        if len(windows):
            stories[split] = SplitStories.of(windows, subject.seed)
        else:
            print(f"evaluate: split {split} has no stories, so it has no metrics", file=sys.stderr)
    if not stories:
        raise UserError(
            "neither val nor test has a story to evaluate on: raise dataset.sample.stories, "
            "dataset.limit_stories or split.val_fraction, or lower context.k"
        )
    annotated = AnnotationScorer.learn(annotations, splits["train"], table)
    if subject.judge is not None:
        targets = [part.windows.image_keys(part.windows.target) for part in stories.values()]
        subject.judge.look_at(frames, np.concatenate(targets))
    measured: dict[str, SplitMeasures] = {}
    with replacing_folder(out) as folder:
        with jsonl_writer(folder / PREDICTIONS_FILE) as write:
            for split, part in stories.items():
                rows, own = evaluate_split(
                    subject, split, part, annotated, frames, splits["train"], write
                )
                measured[split] = summarise(rows, own, len(part), subject.seed)
                write_plots(folder, split, rows)
        write_json(folder / MEASURES_FILE, asdict(Measures(_settings(subject), measured)))
    metrics = {split: headline(part) for split, part in measured.items()}
    write_json(metrics_path, metrics)
    return metrics


def evaluate_split(
    subject: Subject,
    split: str,
    stories: SplitStories,
    annotated: AnnotationScorer,
    frames: Path,
    train: list[str],
    write: Callable[[Record], None],
) -> tuple[dict[str, Columns], Columns]:
    """Write and score the captions of a split.

    Args:
        annotated: of the stories of all splits.
        frames: the frames table. train: ids of the training stories, to take captions from.
        write: takes the record of each prediction as it is made.

    Returns:
        Row -> its columns, and the columns of no row (see `metrics.split_figures`).
    """
    with progress_bar(desc=f"{split} likelihood", total=len(stories), unit="story") as bar:
        likely = likelihood(
            subject.captioner.generator,
            subject.loss,
            stories,
            subject.captioner.prompts,
            subject.loss_batch_size,
            bar.update,
        )
    predicted_images, predicted_texts = predict_embeddings(subject.captioner.generator, stories)
    nearest = nearest_captions(predicted_texts, frames, train, stories.windows.texts)
    targets = SplitTargets.of(stories)
    pools: list[dict[str, Columns]] = []
    for chunk in stories.pools(CAPTION_POOL):
        with progress_bar(
            desc=f"{split} captions", total=len(GENERATED) * len(chunk.place), unit="caption"
        ) as bar:
            written = _write_captions(subject, chunk, nearest, bar.update)
        captions = _all_rows(chunk, written, nearest)
        with progress_bar(desc=f"{split} scores", total=None, unit="text") as bar:
            rows = score_rows(
                captions,
                PoolTargets.of(chunk, targets, subject.judge),
                subject.scorer,
                None if subject.judge is None else subject.judge.scorer,
                bar.update,
            )
        if subject.discriminator is not None:
            images = chunk.windows.image_features(chunk.windows.target)
            for row, columns in subject.discriminator.columns(captions, images).items():
                rows[row] |= columns
        for row, columns in annotated.columns(captions, chunk).items():
            rows[row] |= columns
        for row, several in written.items():
            rows[row]["finished"] = np.array([caption.finished for caption in several])
        pools.append(rows)
        for record in story_records(split, chunk, captions, rows, likely):
            write(record)
    ranked = image_ranks(predicted_images, stories, targets) if len(stories) > 1 else {}
    own = likely.nats | {"target_tokens": likely.tokens}
    own |= {f"{name}_rank": places for name, places in ranked.items()}
    own |= {name: np.array(loss) for name, loss in likely.losses.items()}
    joined = {
        row: {name: np.concatenate([pool[row][name] for pool in pools]) for name in columns}
        for row, columns in pools[0].items()
    }
    return joined, own


def _write_captions(
    subject: Subject,
    stories: SplitStories,
    nearest: list[str] | None,
    progress: Callable[[int], object],
) -> dict[str, list[Caption]]:
    """What the decoder writes for each story, with the prefix and without it; or in the place of
    the former, by `generate.strategy`, what is looked up: `nearest`, of the whole split."""
    contexts = stories.windows.contexts()
    captioner = subject.captioner
    seeds = [story_seed(subject.seed, story) for story in contexts.story]
    alone = generate_captions(
        captioner.generator,
        captioner.prompts,
        contexts,
        captioner.params,
        seeds,
        use_prefix=False,
        progress=progress,
    )
    if captioner.params.strategy != "retrieve":
        return {MODEL: captioner.write(contexts, seeds, progress), NO_PREFIX: alone}
    if nearest is None:
        raise UserError(
            "generate.strategy is retrieve, but no training story is left to take captions "
            "from: use more stories, or take another strategy"
        )
    texts = [nearest[i] for i in stories.place.tolist()]
    progress(len(texts))
    return {MODEL: [Caption([], True, [], text) for text in texts], NO_PREFIX: alone}


def _all_rows(
    stories: SplitStories, written: dict[str, list[Caption]], nearest: list[str] | None
) -> dict[str, list[str]]:
    """Row -> captions of the stories, in the order of `ROWS`; `nearest` is of the whole split."""
    windows, other = stories.windows, stories.other
    captions = {row: [caption.text for caption in several] for row, several in written.items()}
    frames = reference_frames(
        windows.context, windows.target, stories.same_story, None if other is None else other.target
    )
    captions |= {row: windows.captions(rows) for row, rows in frames.items()}
    if nearest is not None:
        captions[NEAREST_TRAIN] = [nearest[i] for i in stories.place.tolist()]
    return {row: captions[row] for row in ROWS if row in captions}


def _settings(subject: Subject) -> dict[str, Any]:
    """What the numbers depend on besides the model and the stories."""
    judge = subject.judge
    return {
        "clip": subject.scorer.clip.folder.model,
        "judge": None if judge is None else judge.scorer.clip.folder.model,
        "clip_prefix": subject.scorer.prefix,
        "tokenizer": TOKENIZER,
        "draws": DRAWS,
        "level": LEVEL,
        "seed": subject.seed,
    }
