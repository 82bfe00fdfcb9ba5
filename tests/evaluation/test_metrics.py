"""The registry: figures from columns by hand, the summary and headline of these, and words."""

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import point
from pipeline.evaluation.figures import Measure
from pipeline.evaluation.metrics import (
    HEADLINE,
    METRICS,
    Columns,
    describe,
    row_figures,
    split_figures,
)
from pipeline.evaluation.summary import headline, summarise
from tests.processes import python


def columns(cosines: list[float], **others: list[float]) -> Columns:
    count = len(cosines)
    base = {
        "clip_cosine": cosines,
        "clipscore": [2.5 * max(c, 0) for c in cosines],
        "ref_clipscore": [0.0] * count,
        "clip_cosine_sentences": [0.0] * count,
        "judge_cosine": [c / 2 for c in cosines],
        "rank": [1, 4, 9][:count],
        "rank_same_story": [1, 1, 2][:count],
        "rouge_l": [0.1] * count,
        "cider_d": [0.2] * count,
        "mentions": [4, 2, 2][:count],
        "mentions_right": [3, 1, 0][:count],
        "mentions_nowhere": [1, 0, 1][:count],
        "entities": [3, 4, 3][:count],
        "entities_found": [3, 2, 0][:count],
        "names": [2, 1, 1][:count],
        "names_right": [2, 0, 0][:count],
        "names_nowhere": [0, 0, 1][:count],
        "things": [1, 2, 1][:count],
        "things_found": [1, 0, 0][:count],
        "places": [1, 1, 1][:count],
        "places_found": [1, 1, 0][:count],
        "cast": [2, 1, 2][:count],
        "cast_found": [2, 0, 0][:count],
        "place_right": [1, 0, 0][:count],
        "place_asked": [1, 1, 1][:count],
        "distinct_1": [0.3] * count,
        "distinct_2": [0.4] * count,
        "self_bleu": [50.0] * count,
        "words": [10, 20, 60][:count],
        "text_hash": [1, 2, 1][:count],
    }
    counts = np.tile([4, 3, 2, 1, 4, 3, 2, 1, 4, 4], (count, 1))
    found = {name: np.array(values) for name, values in (base | others).items()}
    return found | {"bleu_counts": counts}


ROWS = {
    "model": columns([0.6, -0.2, 0.5], finished=[True, True, False], d_score=[-2.0, 0.1, 0.0]),
    "ground_truth": columns([0.9, 0.8, 1.0], d_score=[2.0, 0.5, -1.0]),
    "shuffled": columns([0.0, 0.2, 0.1], d_score=[-2.0, -0.1, -9.0]),
    "copy_last": columns([0.5, 0.5, 0.5]),
    "no_prefix": columns([0.1, 0.1, 0.1], finished=[False] * 3),
}
OWN = {
    "nll": np.array([2.0, 4.0, 3.0]),
    "nll_other_prefix": np.array([6.0, 8.0, 4.0]),
    "nll_no_prefix": np.array([4.0, 4.0, 4.0]),
    "target_tokens": np.array([4, 8, 6]),
    "image_rank": np.array([1, 2, 11]),
    "image_copy_last_rank": np.array([2, 1, 2]),
    "image_same_story_rank": np.array([1, 1, 2]),
    "loss": np.array(1.0),
    "loss_img": np.array(0.25),
    "loss_align": np.array(0.5),
}
"""The split's own columns."""


def test_a_row_by_hand() -> None:
    found = {name: point(figure, 3) for name, figure in row_figures(ROWS["model"]).items()}
    assert found == pytest.approx(
        {
            "clip_cosine": 0.3,
            "clipscore": 2.5 * 1.1 / 3,
            "ref_clipscore": 0.0,
            "clip_cosine_sentences": 0.0,
            "judge_cosine": 0.15,
            "r1": 1 / 3,
            "r5": 2 / 3,
            "r10": 1.0,
            "median_rank": 4.0,
            "r1_same_story": 2 / 3,
            "bleu4": 100.0,
            "rouge_l": 0.1,
            "cider_d": 0.2,
            "entity_precision": 4 / 8,
            "entity_recall": 5 / 10,
            "entity_f1": 0.5,
            "hallucination_rate": 2 / 8,
            "thing_recall": 1 / 4,
            "place_recall": 2 / 3,
            "name_precision": 2 / 4,
            "name_recall": 2 / 5,
            "invented_names": 1 / 4,
            "place_agreement": 1 / 3,
            "distinct_1": 0.3,
            "distinct_2": 0.4,
            "self_bleu": 50.0,
            "words": 30.0,
            "finished": 2 / 3,
            "distinct": 2 / 3,
        }
    )


def test_figures_of_a_split_by_hand() -> None:
    found = {n: point(figure, 3) for n, figure in split_figures(ROWS, OWN).items()}
    assert found == pytest.approx(
        {
            "lift": 0.25,
            "lift_copy_last": 0.5,
            "lift_no_prefix": 0.0,
            "judge_lift": 0.25,
            "nll": 0.5,
            "nll_other_prefix": 1.0,
            "nll_no_prefix": 12 / 18,
            "nll_gap_other_prefix": 0.5,
            "nll_gap_no_prefix": 3 / 18,
            "image_r1": 1 / 3,
            "image_r5": 2 / 3,
            "image_r10": 2 / 3,
            "image_median_rank": 2.0,
            "image_r1_copy_last": 1 / 3,
            "image_r1_same_story": 2 / 3,
            "d_accuracy_generated": (2 / 3 + 2 / 3) / 2,  # of the true two, of the fakes two
            "d_accuracy_shuffled": (2 / 3 + 1) / 2,
            "loss": 1.0,
            "loss_img": 0.25,
            "loss_align": 0.5,
        },
        abs=1e-12,
    )


def test_the_summary_has_intervals_where_they_mean_something() -> None:
    found = summarise(ROWS, OWN, 3, seed=0)
    assert found.stories == 3
    assert list(found.rows) == list(ROWS)
    for name, measure in (found.rows["model"] | found.figures).items():
        if METRICS[name].interval:
            assert measure.low <= measure.value <= measure.high, name
        else:
            assert measure.low is measure.high is None, name
    assert found.figures["loss"] == Measure(1.0)
    assert found.figures["lift"].low < 0.25 < found.figures["lift"].high

    flat = headline(found)
    assert list(flat) == [
        *HEADLINE[: HEADLINE.index("lift") + 1],
        *("lift_low", "lift_high"),
        *HEADLINE[HEADLINE.index("lift") + 1 :],
        "stories",
    ]
    assert flat["clip_cosine"] == pytest.approx(0.3)
    assert flat["clip_cosine_ground_truth"] == pytest.approx(0.9)
    assert flat["lift_low"] == found.figures["lift"].low
    assert flat["nll"] == 0.5
    assert flat["stories"] == 3


def test_without_judge_critic_or_other_stories_their_metrics_are_left_out() -> None:
    unmeasured = ("judge_cosine", "rank", "d_score")
    alone = {
        row: {name: values[:1] for name, values in of.items() if name not in unmeasured}
        for row, of in ROWS.items()
        if row != "shuffled"
    }
    losses = {name: OWN[name] for name in ("loss", "loss_img", "loss_align")}
    own = {"nll": np.array([2.0]), "target_tokens": np.array([4])} | losses
    found = summarise(alone, own, 1, seed=0)
    assert not {"judge_cosine", "r1", "median_rank"} & set(found.rows["model"])
    assert set(found.figures) == {"nll", *losses}
    assert not {"lift", "judge_lift", "r1", "image_r1", "d_accuracy_shuffled"} & set(
        headline(found)
    )


def test_every_metric_has_words_and_unknown_ones_keep_their_name() -> None:
    for name, metric in METRICS.items():
        assert metric.title and metric.meaning, name
    assert set(HEADLINE) - set(METRICS) == {
        "hallucination_rate_ground_truth",
        *(f"clip_cosine_{row}" for row in ("ground_truth", "shuffled", "copy_last", "no_prefix")),
    }
    assert describe("lift_copy_last").title == "Lift: a copy of the last caption"
    assert describe("clip_cosine_ground_truth").title == "CLIP cosine: the true caption"
    assert describe("d_accuracy").title == "d accuracy"
    assert describe("d_accuracy").higher_is_better is None


def test_the_registry_and_the_reader_of_results_load_no_torch() -> None:
    program = "import sys, pipeline.evaluation.results; sys.exit('torch' in sys.modules)"
    assert python("-c", program).returncode == 0
