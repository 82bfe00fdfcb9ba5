"""Comparing runs: the verdict, the pairing, and where predictions are read from."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pipeline.cli.app import main
from pipeline.cli.compare import compare, read_predictions
from pipeline.common.errors import UserError

random = np.random.default_rng(0)
STORIES = 40
EASE = random.normal(0, 0.2, STORIES)
"""How high every run scores on a story: what pairing takes out."""


def run(gain: float, noise: int, stories: range = range(STORIES)) -> dict[str, dict[str, Any]]:
    """Records of a run that scores about 0.5 + gain."""
    jitter = np.random.default_rng(noise).normal(0, 0.02, STORIES)
    records = {}
    for i in stories:
        score = float(0.5 + gain + EASE[i] + jitter[i])
        records[f"s{i}"] = {
            "split": "test",
            "story_id": f"s{i}",
            "context": [f"Before story {i}."],
            "context_images": [{"file": "test/00000.parquet", "row": i, "index": 0}],
            "target_image": {"file": "test/00000.parquet", "row": i, "index": 1},
            "reference": f"The true caption number {i} is here .",
            "prediction": f"A told caption number {i} stands here .",
            "finished": True,
            "score": score,
            "reference_score": float(1.0 + EASE[i]),
            "scores": {
                "model": score,
                "ground_truth": float(1.0 + EASE[i]),
                "shuffled": float(EASE[i]),
            },
            "judge_scores": {},
            "rank": 1 if gain > 0.1 else 4,
            "metrics": {"cider_d": 1.0, "words": 8.0 + 10 * gain},
            "nats": {"nll": 4.0 - 2 * gain + jitter[i]},
            "target_tokens": 10,
        }
    return records


def by_metric(a: dict, b: dict, *metrics: str) -> dict[str, Any]:
    return {c.metric: c for c in compare(a, b, metrics)}


def test_a_better_run_is_called_better_from_either_side() -> None:
    forth, back = by_metric(run(0.0, 1), run(0.2, 2)), by_metric(run(0.2, 2), run(0.0, 1))
    for metric in ("lift", "clip_cosine", "r1", "median_rank", "nll"):
        assert forth[metric].verdict == "B is better"
        assert back[metric].verdict == "A is better"
        assert forth[metric].change.value == pytest.approx(-back[metric].change.value)
    assert forth["nll"].change.value < 0, "lower is better"
    assert forth["words"].verdict == "B is higher", "longer is neither better nor worse"
    assert forth["cider_d"].verdict == "no detectable difference"


def test_what_is_neither_good_nor_bad_is_compared_on_demand() -> None:
    """Without a choice: what has a better side, and what metrics.json shows."""
    a, b = run(0.0, 1), run(0.2, 2)
    for record in (*a.values(), *b.values()):
        record["nats"] |= {"nll_other_prefix": 4.5, "nll_no_prefix": 5.0}
    assert list(by_metric(a, b)) == [
        *("lift", "nll", "nll_other_prefix", "clip_cosine", "r1", "r5", "r10", "median_rank"),
        *("bleu4", "cider_d", "words", "finished"),
    ]
    found = by_metric(a, b, "nll_gap_no_prefix")["nll_gap_no_prefix"]
    assert found.change.value == pytest.approx(-by_metric(a, b, "nll")["nll"].change.value)
    assert found.verdict == "B is higher"


def test_noise_is_no_difference() -> None:
    found = by_metric(run(0.0, 1), run(0.0, 2))
    assert {c.verdict for c in found.values()} == {"no detectable difference"}


def test_pairing_finds_what_separate_intervals_hide() -> None:
    """A gain of a tenth of what stories differ by; against SciPy's paired bootstrap."""
    a, b = run(0.0, 1), run(0.02, 2)
    found = by_metric(a, b, "clip_cosine")["clip_cosine"]
    assert found.verdict == "B is better"
    pairs = np.array([b[story]["score"] - a[story]["score"] for story in a])
    theirs = stats.bootstrap(
        (pairs,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert found.change.value == pytest.approx(pairs.mean())
    assert (found.change.low, found.change.high) == pytest.approx(
        (theirs.low, theirs.high), abs=5e-4
    )


def test_common_stories_alone_count() -> None:
    a, b = run(0.0, 1, range(0, 30)), run(0.0, 2, range(10, 40))
    found = by_metric(a, b, "clip_cosine")["clip_cosine"]
    common = [f"s{i}" for i in range(10, 30)]
    assert found.a == pytest.approx(np.mean([a[story]["score"] for story in common]))
    assert found.b == pytest.approx(np.mean([b[story]["score"] for story in common]))


def test_what_cannot_be_compared_is_named() -> None:
    with pytest.raises(UserError, match="no story in common"):
        compare(run(0, 1, range(5)), run(0, 1, range(5, 9)))
    other = run(0, 1)
    other["s3"]["reference"] = "Another ending."
    with pytest.raises(UserError, match="s3 has another true caption"):
        compare(run(0, 1), other)
    with pytest.raises(UserError, match="judge_lift is no metric of both runs; those are lift"):
        compare(run(0, 1), run(0, 1), ["judge_lift"])


def test_one_common_story_is_too_few() -> None:
    found = by_metric(run(0, 1, range(1)), run(0.3, 1), "clip_cosine")["clip_cosine"]
    assert found.verdict == "too few stories to tell"
    assert (found.change.low, found.change.high) == (None, None)


def write(path: Path, records: dict[str, dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records.values()))
    return path


def test_the_command_on_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a = write(tmp_path / "a.jsonl", run(0.0, 1))
    b = write(tmp_path / "b.jsonl", run(0.2, 2, range(30)))
    words = ["storycache", "compare", str(a), str(b), "--metric", "lift", "--metric", "nll"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as exited:
        main()
    assert not exited.value.code
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"A: {a}, 40 stories of test"
    assert printed[1] == f"B: {b}, 30 stories, 30 of them in common"
    assert printed[3].split() == "metric A B B - A 95 % interval verdict".split()
    assert [line.split()[0] for line in printed[4:]] == ["lift", "nll"]
    assert all(line.endswith("B is better") for line in printed[4:])


def test_files_that_are_no_predictions_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"gone\.jsonl is missing"):
        read_predictions("gone.jsonl", "test")
    with pytest.raises(UserError, match=r"data/eval/predictions\.jsonl is missing"):
        read_predictions("workspace", "test")
    with pytest.raises(UserError, match="this folder is in no git repository"):
        read_predictions("main", "test")
    (tmp_path / "x.jsonl").write_text("not json\n")
    with pytest.raises(UserError, match=r"x\.jsonl is not a predictions file"):
        read_predictions("x.jsonl", "test")
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(UserError, match=r"line 1\.split: Field required"):
        read_predictions("x.jsonl", "test")
    write(tmp_path / "x.jsonl", run(0, 1))
    with pytest.raises(UserError, match="no predictions for the split val"):
        read_predictions("x.jsonl", "val")
