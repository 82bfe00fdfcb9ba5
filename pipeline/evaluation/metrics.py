"""Every metric once: its name, what it means, which way is better, and how columns give its figure.

A new metric is one entry here, and a column of that name for it in `scores.py` (`annotated.py` for
what is counted by the dataset's annotations) if none serves.
The files of the evaluation, `storycache compare` and the report take it from here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.figures import (
    Column,
    Figure,
    bleu_of,
    constant,
    difference,
    f1_of,
    lift_of,
    mean_of,
    median_of,
    ratio_of,
)
from pipeline.evaluation.references import (
    COPY_LAST,
    GROUND_TRUTH,
    MODEL,
    NO_PREFIX,
    ROWS,
    SHUFFLED,
    row_name,
)

Columns = dict[str, NDArray[Any]]
"""Name of a column -> its values, [N] of N stories; of `bleu_counts` [N, 10]."""


@dataclass(frozen=True)
class Metric:
    """A metric in words and in numbers."""

    name: str
    title: str
    meaning: str
    columns: tuple[str, ...] = ()
    """Those that `figure` is made from, if not the one of the metric's own name."""
    figure: Callable[..., Figure] = mean_of
    higher_is_better: bool | None = True
    """None for what is neither good nor bad in itself, such as the length."""
    style: Literal["number", "share", "count"] = "number"
    """How a person reads it: three decimals, a percentage, or one decimal, if any."""
    interval: bool = True
    """False for what is about the captions together: a draw that repeats stories repeats captions,
    which is what these measure."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns that it is made from."""
        return self.columns or (self.name,)


def _recall(
    name: str,
    title: str,
    meaning: str,
    ranks: str = "rank",
    at: int = 1,
    higher_is_better: bool | None = True,
) -> Metric:
    """The share of ranks, a column, that are `at` or better."""

    def figure(column: NDArray[Any]) -> Figure:
        return mean_of(column <= at)

    return Metric(name, title, meaning, (ranks,), figure, higher_is_better, "share")


def _different(hashes: Column) -> Figure:
    """Different texts over texts."""
    _, number, times = np.unique(hashes, return_inverse=True, return_counts=True)
    # Every caption counts by its share, so that the mean is different captions over captions.
    return mean_of(1 / times[number])


def _gap(nats: Column, own: Column, tokens: Column) -> Figure:
    return difference(ratio_of(nats, tokens), ratio_of(own, tokens))


def _accuracy(real: NDArray[Any], fake: NDArray[Any]) -> Figure:
    """Of scores above 0 for what is taken for true: half for each kind, so a coin would get 0.5."""
    return mean_of(((real > 0).astype(float) + (fake <= 0)) / 2)


def _share(
    name: str, title: str, meaning: str, part: str, whole: str, higher_is_better: bool = True
) -> Metric:
    """One column over another, each summed."""
    return Metric(name, title, meaning, (part, whole), ratio_of, higher_is_better, "share")


def _agreement(field: str, told: str) -> Metric:
    meaning = f"captions that tell {told} of the frame’s table"
    return _share(
        f"{field}_agreement", f"Right {field}", meaning, f"{field}_right", f"{field}_asked"
    )


OF_A_ROW = (
    Metric("clip_cosine", "CLIP cosine", "likeness of caption and target picture"),
    Metric("clipscore", "CLIPScore", "2.5 times the cosine, not below 0"),
    Metric("ref_clipscore", "RefCLIPScore", "likeness to the picture and to the true caption"),
    Metric(
        "clip_cosine_sentences",
        "CLIP cosine by sentence",
        "mean over sentences: CLIP reads no more than 77 tokens",
    ),
    Metric(
        "judge_cosine",
        "Judge cosine",
        "the same likeness, by a second CLIP that nothing was trained against",
    ),
    _recall("r1", "R@1", "the caption’s nearest picture is its own"),
    _recall("r5", "R@5", "its own picture is among the five nearest", at=5),
    _recall("r10", "R@10", "its own picture is among the ten nearest", at=10),
    Metric(
        "median_rank",
        "Median rank",
        "place of its own picture, 1 is best",
        ("rank",),
        median_of,
        higher_is_better=False,
        style="count",
    ),
    _recall(
        "r1_same_story",
        "R@1 within the story",
        "its own frame is nearest of that story’s",
        "rank_same_story",
    ),
    Metric(
        "bleu4",
        "BLEU-4",
        "runs of up to four words shared with the true caption, of 100",
        ("bleu_counts",),
        bleu_of,
        style="count",
    ),
    Metric("rouge_l", "ROUGE-L", "longest common thread of words with the true caption"),
    Metric("cider_d", "CIDEr-D", "telling words shared with the true caption"),
    _share(
        "entity_precision",
        "Entity precision",
        "of the people, things and places mentioned, those in the frame",
        "mentions_right",
        "mentions",
    ),
    _share(
        "entity_recall",
        "Entity recall",
        "of those that the true caption tells, the ones mentioned",
        "entities_found",
        "entities",
    ),
    Metric(
        "entity_f1",
        "Entity F1",
        "the two in one: their harmonic mean",
        ("mentions_right", "mentions", "entities_found", "entities"),
        f1_of,
        style="share",
    ),
    _share(
        "hallucination_rate",
        "Hallucinations",
        "mentions of what is neither in the frame nor in the context",
        "mentions_nowhere",
        "mentions",
        higher_is_better=False,
    ),
    _share(
        "thing_recall",
        "Thing recall",
        "of the things that the true caption tells, those mentioned",
        "things_found",
        "things",
    ),
    _share(
        "place_recall",
        "Place recall",
        "of the places that the true caption tells, those mentioned",
        "places_found",
        "places",
    ),
    _share(
        "name_precision",
        "Name precision",
        "of the names used, those of people in the frame",
        "names_right",
        "names",
    ),
    _share(
        "name_recall",
        "Name recall",
        "of the people whom the true caption names, those named",
        "cast_found",
        "cast",
    ),
    _share(
        "invented_names",
        "Invented names",
        "names of nobody in the frame or in the context",
        "names_nowhere",
        "names",
        higher_is_better=False,
    ),
    _agreement("place", "the place"),
    _agreement("time", "the time of day"),
    _agreement("weather", "the weather"),
    _agreement("action", "what is done in words"),
    Metric("distinct_1", "Distinct-1", "share of words that are not repetitions", interval=False),
    Metric(
        "distinct_2", "Distinct-2", "share of word pairs that are not repetitions", interval=False
    ),
    Metric(
        "self_bleu",
        "Self-BLEU",
        "how much they are like each other, of 100",
        higher_is_better=False,
        style="count",
        interval=False,
    ),
    Metric("words", "Words", "words in a caption", higher_is_better=None, style="count"),
    Metric("finished", "Finished", "captions that end by themselves", style="share"),
    Metric(
        "distinct",
        "Distinct captions",
        "captions unlike all others",
        ("text_hash",),
        _different,
        style="share",
        interval=False,
    ),
)
"""Of the captions of a row, in the order of metrics_full.json; from the row's columns."""


def _lift(name: str, title: str, meaning: str, row: str, column: str) -> Metric:
    columns = tuple(f"{of}.{column}" for of in (row, SHUFFLED, GROUND_TRUTH))
    return Metric(name, title, meaning, columns, lift_of, style="share")


def _surprise(name: str, title: str, meaning: str, higher_is_better: bool | None = None) -> Metric:
    return Metric(name, title, meaning, (name, "target_tokens"), ratio_of, higher_is_better)


def _cost(condition: str, title: str, meaning: str) -> Metric:
    columns = (f"nll_{condition}", "nll", "target_tokens")
    return Metric(f"nll_gap_{condition}", title, meaning, columns, _gap, None)


def _told_apart(kind: str, row: str, title: str, meaning: str) -> Metric:
    columns = (f"{GROUND_TRUTH}.d_score", f"{row}.d_score")
    return Metric(f"d_accuracy_{kind}", title, meaning, columns, _accuracy, None, "share")


def _loss(name: str, title: str, meaning: str) -> Metric:
    return Metric(name, title, meaning, (), constant, higher_is_better=False, interval=False)


LIFT = _lift(
    "lift",
    "Lift",
    "how far from another story’s caption (0) to the true one (100 %)",
    MODEL,
    "clip_cosine",
)

OF_A_SPLIT = (
    LIFT,
    *(
        _lift(f"lift_{row}", f"Lift: {row_name(row)}", LIFT.meaning, row, "clip_cosine")
        for row in ROWS
        if row not in (MODEL, SHUFFLED, GROUND_TRUTH)
    ),
    _lift(
        "judge_lift", "Lift by the judge", "the same, in the judge’s eyes", MODEL, "judge_cosine"
    ),
    _surprise(
        "nll",
        "Surprise (nll)",
        "nats a token that the true caption costs the model; 0 is no surprise at all",
        higher_is_better=False,
    ),
    _surprise(
        "nll_other_prefix",
        "Surprise, other story",
        "the same with what CLIP saw of another story",
    ),
    _surprise("nll_images_only", "Surprise, pictures only", "the prefix made of pictures alone"),
    _surprise("nll_texts_only", "Surprise, captions only", "the prefix made of captions alone"),
    _surprise("nll_no_prefix", "Surprise, no prefix", "nothing of what CLIP saw"),
    _cost(
        "other_prefix",
        "Cost of another story",
        "nats a token that the prefix of another story costs",
    ),
    _cost("images_only", "Cost of no captions", "the same without captions"),
    _cost("texts_only", "Cost of no pictures", "the same without pictures"),
    _cost("no_prefix", "Cost of no prefix", "the same without either"),
    _recall(
        "image_r1",
        "Image R@1",
        "the predicted picture embedding is nearest to its own",
        "image_rank",
    ),
    _recall("image_r5", "Image R@5", "its own is among the five nearest", "image_rank", at=5),
    _recall("image_r10", "Image R@10", "its own is among the ten nearest", "image_rank", at=10),
    Metric(
        "image_median_rank",
        "Image median rank",
        "place of its own, 1 is best",
        ("image_rank",),
        median_of,
        higher_is_better=False,
        style="count",
    ),
    _recall(
        "image_r1_copy_last",
        "Image R@1 of a copy",
        "the last frame’s embedding instead",
        "image_copy_last_rank",
        higher_is_better=None,
    ),
    _recall(
        "image_r1_same_story",
        "Image R@1 within the story",
        "its own is nearest of that story’s frames",
        "image_same_story_rank",
    ),
    _told_apart(
        "generated",
        MODEL,
        "Discriminator, generated",
        "how often the discriminator tells true from generated captions; a coin gets half",
    ),
    _told_apart(
        "shuffled", SHUFFLED, "Discriminator, shuffled", "the same of another story’s captions"
    ),
    _loss("loss", "Loss", "the whole training loss"),
    _loss("loss_img", "Image loss", "its image term"),
    _loss("loss_align", "Alignment loss", "its alignment term"),
)
"""Of no single row, in the order of metrics_full.json; from columns of rows, `model.clip_cosine`,
and from the split's own, such as `target_tokens`."""

STORIES = Metric("stories", "Stories", "stories measured", higher_is_better=None, style="count")
"""Counted, not measured."""

METRICS = {metric.name: metric for metric in (*OF_A_ROW, *OF_A_SPLIT, STORIES)}

HEADLINE = (
    "clip_cosine",
    "clipscore",
    *(f"clip_cosine_{row}" for row in (GROUND_TRUTH, SHUFFLED, COPY_LAST, NO_PREFIX)),
    *("lift", f"lift_{COPY_LAST}", f"lift_{NO_PREFIX}", "judge_lift"),
    *("r1", "cider_d", "entity_f1", "hallucination_rate", f"hallucination_rate_{GROUND_TRUTH}"),
    *("thing_recall", "words", "distinct"),
    *("loss", "nll", "loss_img", "loss_align", "nll_other_prefix"),
    *("image_r1", "image_r1_copy_last", "d_accuracy_generated", "d_accuracy_shuffled"),
)
"""What metrics.json holds of these, in its order; of a row's metrics the model's, unless another
row is named after it."""


def row_figures(columns: Columns) -> dict[str, Figure]:
    """Every metric of a row of captions."""
    return _figures(OF_A_ROW, columns)


def split_figures(rows: Mapping[str, Columns], own: Columns) -> dict[str, Figure]:
    """What is no property of one row.

    Args:
        own: columns that belong to the stories and to no row: nats of the true captions by
            condition, their `target_tokens`, ranks of the image head, and losses (scalars).
    """
    of_rows = {f"{row}.{name}": column for row, of in rows.items() for name, column in of.items()}
    return _figures(OF_A_SPLIT, of_rows | own)


def _figures(metrics: Iterable[Metric], columns: Columns) -> dict[str, Figure]:
    """Name -> figure, of the metrics whose columns were measured."""
    return {
        metric.name: metric.figure(*(columns[name] for name in metric.needs))
        for metric in metrics
        if all(name in columns for name in metric.needs)
    }


def row_and_metric(name: str) -> tuple[str | None, str]:
    """Which row's metric a name in metrics.json stands for; no row's, if it is the split's."""
    if any(metric.name == name for metric in OF_A_SPLIT):
        return None, name
    for row in ROWS:
        if (metric := name.removesuffix(f"_{row}")) != name and metric in METRICS:
            return row, metric
    return MODEL, name


def describe(name: str) -> Metric:
    """The metric of a name in metrics.json; what is not known here is shown under its own name."""
    if name in METRICS:
        return METRICS[name]
    row, metric = row_and_metric(name)
    if row is not None and metric in METRICS:
        return replace(METRICS[metric], title=f"{METRICS[metric].title}: {row_name(row)}")
    return Metric(name, name.replace("_", " "), "", higher_is_better=None)
