"""What runs again and what does not, as DVC itself tells it."""

import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dvc")]

LINE = ["download", "prepare", "split", "embed_image", "embed_text"]
LINE += ["train", "captions", "adversarial", "evaluate", "report"]
COMMENT = "\n# an edit that changes nothing\n"


def test_the_second_repro_runs_nothing(first_repro, line):
    built, output = first_repro
    assert sorted(built.stages_run(output)) == sorted(["check", *LINE])
    again = line.dvc("repro")
    assert line.stages_run(again) == []
    assert "Data and pipelines are up to date." in again
    assert line.run("git", "status", "--porcelain") == "", "a run leaves nothing to be ignored"


def test_every_stage_leaves_what_the_design_says(first_repro):
    built, _ = first_repro
    metrics = json.loads((built.root / "metrics.json").read_text())
    assert set(metrics) == {"val", "test"}
    for scores in metrics.values():
        assert {"clip_cosine", "clip_cosine_ground_truth", "nll", "stories"} <= set(scores)
    predictions = (built.root / "data/eval/predictions.jsonl").read_text().splitlines()
    assert len(predictions) == sum(scores["stories"] for scores in metrics.values())


def test_a_loss_weight_trains_and_evaluates_and_no_more(line):
    output = line.dvc("exp", "run", "-S", "loss.alpha=0.2")
    assert line.stages_run(output) == ["check", *LINE[5:]]

    changed = json.loads(line.dvc("params", "diff", "--json"))
    assert list(changed["params.yaml"]) == ["loss.alpha"]
    assert changed["params.yaml"]["loss.alpha"]["new"] == 0.2
    table = line.dvc("metrics", "diff", "--all", "--targets", "metrics.json")
    rows = [row.split() for row in table.splitlines()]
    assert ["Path", "Metric", "HEAD", "workspace", "Change"] in rows
    shown = {row[1] for row in rows if row}
    assert {"test.clip_cosine", "val.clip_cosine_shuffled", "val.nll"} <= shown

    line.dvc("plots", "show")
    html = (line.root / "dvc_plots/index.html").read_text()
    for title in ("Training and validation loss", "Scores of the captions (test)"):
        assert title in html


def test_context_and_seed_do_not_embed(line):
    output = line.dvc("exp", "run", "-S", "context.k=5", "-S", "seed=7")
    assert line.stages_run(output) == ["check", "split", *LINE[5:]]


def test_a_setting_of_one_encoder_leaves_the_other_alone(line):
    targets = ("embed_image", "embed_text")
    cropped = line.contents("data/features")
    output = line.dvc("exp", "run", "-S", "clip.image_fit=pad", *targets)
    assert line.stages_run(output) == ["embed_image"]
    assert line.contents("data/features/image") != {
        path: data for path, data in cropped.items() if "/image/" in path
    }
    back = line.dvc("exp", "run", "-S", "clip.image_fit=crop", *targets)
    assert line.stages_run(back) == []
    assert line.contents("data/features") == cropped


def test_an_edit_runs_the_stages_that_import_it(line):
    def changed() -> set[str]:
        return set(json.loads(line.dvc("status", "--json")))

    line.edit("pipeline/model/losses.py", lambda code: code + COMMENT)
    after_training = changed()
    assert "train" in after_training
    assert after_training.isdisjoint(LINE[:5])

    line.edit("pipeline/clip/frozen.py", lambda code: code + COMMENT)
    assert {"embed_image", "embed_text"} <= changed()
    before = line.contents("data/features/text")
    output = line.dvc("repro", "embed_text")
    assert line.stages_run(output) == ["embed_text"]
    assert line.contents("data/features/text") == before
