"""The lines of predictions.jsonl: a story's captions, where its images lie, and its scores."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.likelihood import Likelihood
from pipeline.evaluation.metrics import OF_A_ROW, Columns
from pipeline.evaluation.references import GROUND_TRUTH, MODEL
from pipeline.evaluation.results import Record
from pipeline.evaluation.stories import SplitStories

DECIMALS = 6
ELSEWHERE = ("clip_cosine", "judge_cosine", "rank", "finished", "bleu_counts")
"""Columns of the model's row that have keys of their own in a record, or follow from its captions;
`metrics` has the others that are a story's own."""


def story_records(
    split: str,
    stories: SplitStories,
    captions: Mapping[str, list[str]],
    rows: Mapping[str, Columns],
    likely: Likelihood,
) -> Iterator[Record]:
    """One record per story, of its captions and columns by row; `likely` is of the whole split."""
    windows, k = stories.windows, stories.windows.context.shape[1]
    contexts = windows.captions(windows.context.reshape(-1))
    model = rows[MODEL]
    scores = {row: _rounded(columns["clip_cosine"]) for row, columns in rows.items()}
    judged = {
        row: _rounded(columns["judge_cosine"])
        for row, columns in rows.items()
        if "judge_cosine" in columns
    }
    own = [name for metric in OF_A_ROW if metric.interval for name in metric.needs if name in model]
    metrics = {name: _rounded(model[name]) for name in own if name not in ELSEWHERE}
    nats = {name: _rounded(values[stories.place]) for name, values in likely.nats.items()}
    for i, story in enumerate(windows.story):
        yield {
            "split": split,
            "story_id": story,
            "context": contexts[i * k : (i + 1) * k],
            "context_images": stories.image_places(windows.context[i]),
            "target_image": stories.image_places(windows.target[i : i + 1])[0],
            "reference": captions[GROUND_TRUTH][i],
            "prediction": captions[MODEL][i],
            "finished": bool(model["finished"][i]),
            "score": scores[MODEL][i],
            "reference_score": scores[GROUND_TRUTH][i],
            "scores": {row: values[i] for row, values in scores.items()},
            "judge_score": judged[MODEL][i] if judged else None,
            "judge_scores": {row: values[i] for row, values in judged.items()},
            "rank": int(model["rank"][i]) if "rank" in model else None,
            "captions": {row: texts[i] for row, texts in captions.items()},
            "metrics": {name: values[i] for name, values in metrics.items()},
            "nats": {name: values[i] for name, values in nats.items()},
            "target_tokens": int(likely.tokens[stories.place[i]]),
        }


def _rounded(values: NDArray[Any]) -> list[float]:
    rounded: list[float] = np.round(values.astype(np.float64), DECIMALS).tolist()
    return rounded
