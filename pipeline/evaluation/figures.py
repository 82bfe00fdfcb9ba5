"""From columns of one number a story to figures of a split: what is a mean, a ratio, a median."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import Figure, difference, lift_of, mean_of, median_of, ratio_of
from pipeline.evaluation.likelihood import CONDITIONS, NLL, Likelihood
from pipeline.evaluation.overlap import bleu_of
from pipeline.evaluation.references import GROUND_TRUTH, MODEL, SHUFFLED
from pipeline.evaluation.scores import Columns

RECALL_AT = (1, 5, 10)
OF_THE_CAPTIONS_TOGETHER = ("distinct_1", "distinct_2", "self_bleu", "distinct")
"""Without interval: a draw that repeats stories repeats captions, which is what these measure."""


def row_figures(columns: Columns) -> dict[str, Figure]:
    """Every metric of a row of captions, in the order in which they are told."""
    figures: dict[str, Figure] = {
        name: mean_of(columns[name])
        for name in (
            "clip_cosine",
            "clipscore",
            "ref_clipscore",
            "clip_cosine_sentences",
            "judge_cosine",
        )
        if name in columns
    }
    if "rank" in columns:
        figures |= rank_figures(columns["rank"])
    figures["r1_same_story"] = mean_of(columns["rank_same_story"] <= 1)
    figures["bleu4"] = bleu_of(columns["bleu_counts"])
    for name in ("rouge_l", "cider_d", "distinct_1", "distinct_2", "self_bleu", "words"):
        figures[name] = mean_of(columns[name])
    if "finished" in columns:
        figures["finished"] = mean_of(columns["finished"])
    _, number, times = np.unique(columns["text_hash"], return_inverse=True, return_counts=True)
    # Every caption counts by its share, so that the mean is different captions over captions.
    figures["distinct"] = mean_of(1 / times[number])
    return figures


def rank_figures(ranks: NDArray[Any], prefix: str = "") -> dict[str, Figure]:
    """Recall at 1, 5 and 10 and the median of ranks [N], under names that start with `prefix`."""
    figures = {f"{prefix}r{k}": mean_of(ranks <= k) for k in RECALL_AT}
    return figures | {f"{prefix}median_rank": median_of(ranks)}


def split_figures(
    rows: Mapping[str, Columns],
    likely: Likelihood,
    image_ranks: Mapping[str, NDArray[Any]],
) -> dict[str, Figure]:
    """What is not a property of one row: lifts, likelihoods and their gaps, the image head."""
    figures: dict[str, Figure] = {}
    if SHUFFLED in rows:
        for column, name in (("clip_cosine", "lift"), ("judge_cosine", "judge_lift")):
            if column not in rows[MODEL]:
                continue
            floor, ceiling = rows[SHUFFLED][column], rows[GROUND_TRUTH][column]
            figures[name] = lift_of(rows[MODEL][column], floor, ceiling)
            if name == "lift":
                figures |= {
                    f"lift_{row}": lift_of(columns[column], floor, ceiling)
                    for row, columns in rows.items()
                    if row not in (MODEL, GROUND_TRUTH, SHUFFLED)
                }
    nll = {
        name: ratio_of(likely.nats[name], likely.tokens)
        for name in CONDITIONS
        if name in likely.nats
    }
    figures |= nll
    figures |= {
        name.replace("nll_", "nll_gap_"): difference(nll[name], nll[NLL])
        for name in nll
        if name != NLL
    }
    for name, ranks in image_ranks.items():
        if name == "image":
            figures |= rank_figures(ranks, "image_")
        else:
            figures[name.replace("image_", "image_r1_")] = mean_of(ranks <= 1)
    return figures
