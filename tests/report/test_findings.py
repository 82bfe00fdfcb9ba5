"""What is said of the model follows from its numbers, and from nothing else."""

import dataclasses

import pytest

from pipeline.evaluation.figures import Measure
from pipeline.evaluation.results import SplitMeasures, parse_measures
from pipeline.report.findings import findings, headline_sentence
from tests.report.conftest import full_metrics


@pytest.fixture
def split() -> SplitMeasures:
    return parse_measures(full_metrics({"test": 60}), "test").splits["test"]


def said(split: SplitMeasures, good: bool) -> str:
    return "\n".join(finding.sentence for finding in findings(split) if finding.good == good)


def with_row(split: SplitMeasures, row: str, **metrics: Measure) -> SplitMeasures:
    rows = split.rows | {row: split.rows.get(row, {}) | metrics}
    return dataclasses.replace(split, rows=rows)


def with_figures(split: SplitMeasures, **figures: Measure) -> SplitMeasures:
    return dataclasses.replace(split, figures=split.figures | figures)


def test_a_row_is_beaten_only_when_the_intervals_do_not_touch(split: SplitMeasures) -> None:
    assert "a copy of the last caption" in said(split, good=True)
    near = with_row(split, "copy_last", clip_cosine=Measure(0.47, 0.45, 0.49))
    assert "cannot be told from a copy of the last caption" in said(near, good=False)
    assert "a copy of the last caption" not in said(near, good=True)
    above = with_row(split, "copy_last", clip_cosine=Measure(0.6, 0.58, 0.62))
    assert "less well than a copy of the last caption" in said(above, good=False)


def test_the_way_to_the_true_caption_is_told(split: SplitMeasures) -> None:
    assert "43\N{NARROW NO-BREAK SPACE}% of the way is still to go" in said(split, good=False)
    level = with_figures(split, lift=Measure(0.97, 0.9, 1.04))
    assert "as well as the true ones" in said(level, good=True)
    hacked = with_figures(split, lift=Measure(1.2, 1.1, 1.3))
    assert "learnt to please this CLIP" in said(hacked, good=False)


def test_a_judge_that_disagrees_is_heard(split: SplitMeasures) -> None:
    assert "agrees" in said(split, good=True)
    split = with_figures(split, judge_lift=Measure(0.3, 0.25, 0.35))
    assert "the judge, is less impressed" in said(split, good=False)


def test_whether_the_story_is_read_is_a_matter_of_likelihood(split: SplitMeasures) -> None:
    assert "by 0.40 nats a token more" in said(split, good=True)
    blind = with_figures(split, nll_other_prefix=Measure(1.51))
    assert "hardly looks at the story" in said(blind, good=False)


def test_what_the_pictures_are_worth_is_told_apart_from_the_captions(split: SplitMeasures) -> None:
    assert "without them" not in said(split, good=True) + said(split, good=False)
    used = with_figures(split, nll_texts_only=Measure(1.8))
    assert "uses the pictures: without them" in said(used, good=True)
    unused = with_figures(split, nll_texts_only=Measure(1.52))
    assert "by only 0.02 nats" in said(unused, good=False)


def test_faults_of_the_text_are_named(split: SplitMeasures) -> None:
    assert "about as long as the true ones: 40 words against 42" in said(split, good=True)
    short = with_row(split, "model", words=Measure(12.0), distinct=Measure(0.4))
    assert "shorter than the true ones: 12 words against 42" in said(short, good=False)
    assert "only 40\N{NARROW NO-BREAK SPACE}% of its captions are unlike" in said(short, good=False)
    assert "come to an end" in said(split, good=False)


def test_nothing_is_said_without_numbers() -> None:
    empty = SplitMeasures(1, {"model": {}}, {})
    assert findings(empty) == []
    assert headline_sentence(empty) is None
    assert headline_sentence(SplitMeasures(9, {}, {"lift": Measure(0.5)})) == (
        "On 9 stories it had never seen, its captions come 50\N{NARROW NO-BREAK SPACE}% of the way "
        "from another story’s caption to the true one."
    )
