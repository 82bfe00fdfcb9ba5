"""From columns to figures, summary and headline, by hand."""

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import point
from pipeline.evaluation.figures import row_figures, split_figures
from pipeline.evaluation.likelihood import Likelihood
from pipeline.evaluation.scores import Columns
from pipeline.evaluation.summary import headline, summarise


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
    "model": columns([0.6, -0.2, 0.5], finished=[True, True, False]),
    "ground_truth": columns([0.9, 0.8, 1.0]),
    "shuffled": columns([0.0, 0.2, 0.1]),
    "copy_last": columns([0.5, 0.5, 0.5]),
    "no_prefix": columns([0.1, 0.1, 0.1], finished=[False] * 3),
}
LIKELY = Likelihood(
    {
        "nll": np.array([2.0, 4.0, 3.0]),
        "nll_other_prefix": np.array([6.0, 8.0, 4.0]),
        "nll_no_prefix": np.array([4.0, 4.0, 4.0]),
    },
    np.array([4, 8, 6]),
    {"loss": 1.0, "loss_img": 0.25, "loss_align": 0.5},
)
RANKS = {
    "image": np.array([1, 2, 11]),
    "image_copy_last": np.array([2, 1, 2]),
    "image_same_story": np.array([1, 1, 2]),
}


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
            "distinct_1": 0.3,
            "distinct_2": 0.4,
            "self_bleu": 50.0,
            "words": 30.0,
            "finished": 2 / 3,
            "distinct": 2 / 3,
        }
    )


def test_figures_of_a_split_by_hand() -> None:
    found = {n: point(figure, 3) for n, figure in split_figures(ROWS, LIKELY, RANKS).items()}
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
        },
        abs=1e-12,
    )


def test_the_summary_has_intervals_where_they_mean_something() -> None:
    rows = {row: row_figures(of) for row, of in ROWS.items()}
    found = summarise(rows, split_figures(ROWS, LIKELY, RANKS), LIKELY.losses, 3, seed=0)
    assert found["stories"] == 3
    assert list(found["rows"]) == list(ROWS)
    for name, measured in found["rows"]["model"].items():
        assert list(measured) == ["value", "low", "high"]
        if name in ("distinct_1", "distinct_2", "self_bleu", "distinct"):
            assert measured["low"] is None and measured["high"] is None
        else:
            assert measured["low"] <= measured["value"] <= measured["high"]
    assert found["figures"]["loss"] == {"value": 1.0, "low": None, "high": None}
    assert found["figures"]["lift"]["low"] < 0.25 < found["figures"]["lift"]["high"]

    flat = headline(found)
    assert flat["clip_cosine"] == pytest.approx(0.3)
    assert flat["clip_cosine_ground_truth"] == pytest.approx(0.9)
    assert flat["lift_low"] == found["figures"]["lift"]["low"]
    assert flat["nll"] == 0.5
    assert flat["stories"] == 3


def test_without_judge_or_other_stories_their_figures_are_left_out() -> None:
    alone = {
        row: {n: v[:1] for n, v in of.items() if n not in ("judge_cosine", "rank")}
        for row, of in ROWS.items()
        if row != "shuffled"
    }
    likely = Likelihood({"nll": np.array([2.0])}, np.array([4]), LIKELY.losses)
    rows = {row: row_figures(of) for row, of in alone.items()}
    found = summarise(rows, split_figures(alone, likely, {}), likely.losses, 1, seed=0)
    assert not {"judge_cosine", "r1", "median_rank"} & set(found["rows"]["model"])
    assert set(found["figures"]) == {"nll", "loss", "loss_img", "loss_align"}
    assert not {"lift", "judge_lift", "r1", "image_r1"} & set(headline(found))
