"""`python -m benchmarks.ceiling`: how far a perfect reader of the sample's stories could get.

The true caption is one telling of its frame among many, and the frame is one draw of what the
frames before it foretell. A perfect reader knows all that is foretold, and neither the rest nor the
words. Here such a reader tells the test stories several times over, and is scored between the same
rows as the model is.

It runs in the folder of a finished run on the sample, and takes a minute.
"""

import argparse
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import UserError, exit_cleanly
from pipeline.common.files import write_json
from pipeline.compute.device import make_deterministic
from pipeline.dataset.splits import read_splits
from pipeline.dataset.story_dataset import StoryDataset
from pipeline.evaluation.annotated import AnnotationScorer
from pipeline.evaluation.bootstrap import intervals
from pipeline.evaluation.figures import Figure, lift_of
from pipeline.evaluation.judge import Judge
from pipeline.evaluation.metrics import Columns, row_figures
from pipeline.evaluation.references import COPY_LAST, GROUND_TRUTH, MODEL, SHUFFLED
from pipeline.evaluation.results import (
    FOLDER,
    PREDICTIONS_FILE,
    Measures,
    SplitMeasures,
    read_records,
)
from pipeline.evaluation.scorer import CaptionScorer
from pipeline.evaluation.scores import score_rows
from pipeline.evaluation.stories import COLUMNS, SplitStories
from pipeline.evaluation.targets import PoolTargets, SplitTargets
from pipeline.features.store import FeatureStore
from pipeline.params import Params, load_params
from pipeline.prepare.grounding import frame_captions
from pipeline.stories.frames import read_frames
from pipeline.storyworld.arcs import FORETOLD_FROM, Story, redraw_step
from pipeline.storyworld.prose import tell_story, told_story

RAW, STORIES, FEATURES = Path("data/raw"), Path("data/stories"), Path("data/features")
SPLIT = "test"
DRAWS = 8

OTHER_DRAW = "other_draw"  # of the same step, by a reader who knows what is foretold
OTHER_WORDS = "other_words"  # for the very same scene
ROWS = {
    GROUND_TRUTH: "the true caption",
    OTHER_DRAW: "another draw of the step",
    OTHER_WORDS: "its scene in other words",
    MODEL: "the model",
    COPY_LAST: "copy of the last",
    SHUFFLED: "another story's",
}
LIFTS = {"lift": "clip_cosine", "judge_lift": "judge_cosine"}
"""By the column that each is a lift of."""
REACHED = (*LIFTS, "r1", "bleu4", "rouge_l", "cider_d", "entity_f1")
"""Metrics of which the model's share of a perfect reader's is told."""
SHOWN = (
    *REACHED,
    *("hallucination_rate", "thing_recall", "place_recall", "name_recall"),
    *("time_agreement", "weather_agreement", "action_agreement"),
)

Tellings = dict[str, list[list[str]]]
"""Row -> its captions of the stories, as often as they were drawn."""


def measure_ceiling(predictions: Path, draws: int) -> SplitMeasures:
    """Score the rows of `ROWS`, each figure the mean over its draws.

    Args:
        predictions: the predictions.jsonl of a model of these stories.

    Returns:
        The metrics `SHOWN` of each row, and in `figures` how much of another draw's the model's
        are, by names such as `lift_reached`.

    Raises:
        UserError: if the stories are not the sample's, too few frames are read to foretell the
            next, or a story has no prediction.
    """
    params = load_params()
    make_deterministic(params.seed)
    images, texts = (FeatureStore.open(FEATURES / name) for name in ("image", "text"))
    stories = tested_stories(params, images, texts)
    columns = score_tellings(params, stories, _tellings(stories, predictions, draws))
    floor, true = columns[SHUFFLED][0], columns[GROUND_TRUTH][0]
    figures: dict[tuple[str, str], Figure] = {}
    for row, several in columns.items():
        each = [_figures(one, floor, true) for one in several]
        figures |= {(row, name): mean_figure([one[name] for one in each]) for name in each[0]}
    for name in REACHED:
        if (MODEL, name) in figures:
            figures["", f"{name}_reached"] = share(figures[MODEL, name], figures[OTHER_DRAW, name])
    measured = intervals(figures, len(stories), params.seed)
    by_row = {
        row: {name: measure for (of, name), measure in measured.items() if of == row}
        for row in (*columns, "")
    }
    return SplitMeasures(len(stories), by_row, by_row.pop(""))


def draw_caption(name: str, frame: int, draw: int) -> str:
    """What a perfect reader tells of a frame of the story of that name."""
    story, _ = told_story(name)
    rng = random.Random(f"{name} {OTHER_DRAW} {draw}")
    return _caption(redraw_step(story, frame, rng), frame, rng)


def reword_caption(name: str, frame: int, draw: int) -> str:
    """A frame of the story of that name in other words."""
    story, _ = told_story(name)
    return _caption(story, frame, random.Random(f"{name} {OTHER_WORDS} {draw}"))


def mean_figure(figures: Sequence[Figure]) -> Figure:
    """Mean over several figures of the same stories."""
    return lambda weights: np.mean([figure(weights) for figure in figures], axis=0)


def share(figure: Figure, whole: Figure) -> Figure:
    """`figure / whole`, over the same stories."""
    return lambda weights: figure(weights) / whole(weights)


def table(measured: SplitMeasures) -> str:
    """A line for each metric, as Markdown."""
    rows = [row for row in ROWS if row in measured.rows]
    lines = [
        f"| {SPLIT}, {measured.stories} stories | {' | '.join(ROWS[row] for row in rows)} "
        "| the model's share of another draw's |",
        "|---" * (len(rows) + 2) + "|",
    ]
    for name in SHOWN:
        cells = [measured.metric(name).get(row) for row in rows]
        cells.append(measured.figures.get(f"{name}_reached"))
        if any(cells):
            lines.append(f"| `{name}` | {' | '.join(str(cell or '') for cell in cells)} |")
    return "\n".join(lines)


def tested_stories(params: Params, images: FeatureStore, texts: FeatureStore) -> SplitStories:
    """The first windows of the test stories. Raises UserError where they foretell nothing."""
    if params.context.k < FORETOLD_FROM:
        raise UserError(
            f"context.k is {params.context.k}, but only {FORETOLD_FROM} frames foretell the next "
            "one: raise context.k and run dvc repro"
        )
    names = read_splits(STORIES / "splits.json")[SPLIT]
    frames = read_frames(STORIES / "frames.parquet", COLUMNS, {"story_id": names})
    windows = StoryDataset.cut(frames, images, texts, names, params.context.k, "first")
    if len(windows) < 2:
        raise UserError(
            f"split {SPLIT} has no two stories to compare: raise dataset.sample.stories"
        )
    return SplitStories.of(windows, params.seed)


def _tellings(stories: SplitStories, predictions: Path, draws: int) -> Tellings:
    windows, other = stories.windows, stories.other
    assert other is not None  # there are two stories or more
    frame = windows.context.shape[1]
    true = windows.captions(windows.target)
    _check_sample(windows.story, frame, true)
    return {
        GROUND_TRUTH: [true],
        OTHER_DRAW: [
            [draw_caption(name, frame, draw) for name in windows.story] for draw in range(draws)
        ],
        OTHER_WORDS: [
            [reword_caption(name, frame, draw) for name in windows.story] for draw in range(draws)
        ],
        MODEL: [_predicted(predictions, windows.story, true)],
        COPY_LAST: [windows.captions(windows.context[:, -1])],
        SHUFFLED: [windows.captions(other.target)],
    }


def _check_sample(names: Sequence[str], frame: int, true: Sequence[str]) -> None:
    for name, caption in zip(names, true, strict=True):
        story, text = told_story(name)
        captions = frame_captions(text, len(story.scenes))
        if len(captions) <= frame or captions[frame] != caption:
            raise UserError(
                f"story {name:.100} of {STORIES} is not what the storyworld tells under that name: "
                "run the pipeline with dataset.source sample"
            )


def _predicted(predictions: Path, names: Sequence[str], true: Sequence[str]) -> list[str]:
    """The model's caption of each story; its true caption has to be the same."""
    found = {
        (record["story_id"], record["reference"]): record["prediction"]
        for record in read_records(predictions)
    }
    wanted = list(zip(names, true, strict=True))
    if missing := [name for name, caption in wanted if (name, caption) not in found]:
        raise UserError(
            f"{predictions} has no prediction for story {missing[0]:.100} of {STORIES}: give the "
            "predictions of a model of these stories"
        )
    return [found[story] for story in wanted]


def score_tellings(
    params: Params, stories: SplitStories, tellings: Tellings
) -> dict[str, list[Columns]]:
    """The columns of each draw of each row."""
    windows, prefix = stories.windows, params.evaluate.clip_prefix
    clip = FrozenClip.rebuild(windows.texts.attributes).of_whole_captions()
    judge = None
    if params.evaluate.judge is not None:
        judge = Judge.load(params.evaluate.judge, windows.images, windows.texts, prefix, RAW)
        judge.look_at(STORIES / "frames.parquet", windows.image_keys(windows.target))
    captions = {
        f"{row} {draw}": texts
        for row, several in tellings.items()
        for draw, texts in enumerate(several)
    }
    scored = score_rows(
        captions,
        PoolTargets.of(stories, SplitTargets.of(stories), judge),
        CaptionScorer(clip, prefix),
        None if judge is None else judge.scorer,
    )
    train = read_splits(STORIES / "splits.json")["train"]
    reader = AnnotationScorer.learn(STORIES / "annotations.parquet", train, windows.frames)
    counted = reader.columns(captions, stories)
    return {
        row: [scored[f"{row} {draw}"] | counted[f"{row} {draw}"] for draw in range(len(several))]
        for row, several in tellings.items()
    }


def _figures(columns: Columns, floor: Columns, true: Columns) -> Mapping[str, Figure]:
    """The metrics `SHOWN` of one draw of a row."""
    lifts = {
        name: lift_of(columns[of], floor[of], true[of])
        for name, of in LIFTS.items()
        if of in columns
    }
    figures = lifts | row_figures(columns)
    return {name: figures[name] for name in SHOWN if name in figures}


def _caption(story: Story, frame: int, rng: random.Random) -> str:
    return frame_captions(tell_story(story, rng), len(story.scenes))[frame]


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--predictions",
        type=Path,
        default=FOLDER / PREDICTIONS_FILE,
        help="of the model; %(default)s by default",
    )
    parser.add_argument(
        "--draws", type=int, default=DRAWS, help="of each story; %(default)s by default"
    )
    parser.add_argument("--out", type=Path, help="JSON to write, in the form of metrics_full.json")
    arguments = parser.parse_args()
    if arguments.draws < 1:
        parser.error("--draws must be at least 1")
    measured = measure_ceiling(arguments.predictions, arguments.draws)
    print(table(measured))
    if arguments.out is not None:
        settings = {"predictions": str(arguments.predictions), "draws": arguments.draws}
        write_json(arguments.out, asdict(Measures(settings, {SPLIT: measured})))


if __name__ == "__main__":
    exit_cleanly(main)
