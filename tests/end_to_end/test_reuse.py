"""What runs again and what does not, as DVC itself tells it."""

import json
import re
import sys

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


@pytest.mark.parametrize(
    ("room", "first"),
    [
        ("training", "train"),
        ("model", "train"),
        ("captioning", "captions"),
        ("adversarial", "adversarial"),
        ("evaluation", "evaluate"),
    ],
)
def test_an_edit_behind_the_features_embeds_nothing(line, room, first):
    for module in (line.root / "pipeline" / room).glob("[a-z]*.py"):
        module.write_text(module.read_text() + COMMENT)
    changed = json.loads(line.dvc("status", "--json"))
    assert next(stage for stage in LINE if stage in changed) == first
    assert {stage for stage in LINE[: LINE.index(first)] if stage in changed} == set()


def test_an_edit_of_the_encoder_embeds_from_its_cache(line):
    line.edit("pipeline/clip/frozen.py", lambda code: code + COMMENT)
    changed = json.loads(line.dvc("status", "--json"))
    assert {"embed_image", "embed_text"} <= set(changed)
    assert {"download", "prepare", "split", "train"}.isdisjoint(changed)
    before = line.contents("data/features/text")
    output = line.dvc("repro", "embed_text")
    assert line.stages_run(output) == ["embed_text"]
    assert re.search(r"from the cache, 0 encoded", output)
    assert line.contents("data/features/text") == before


LEFT_BEHIND = """
__pycache__/fusion.cpython-311.pyc fusion.pyc fusion.pyo .fusion.py.swp .fusion.py.swo fusion.py~
#fusion.py# .DS_Store .fusion.py.kate-swp .goutputstream-AB12 .nfs00001 .coverage
.mypy_cache/3.11/cache.json .ruff_cache/0.17/x .pytest_cache/v .ipynb_checkpoints/fusion.py
storycache.egg-info/PKG-INFO .idea/workspace.xml .fusion.py.4711-0a1b2c3d.partial .out.lock
""".split()


def test_what_tools_leave_in_folders_of_code_runs_nothing(line):
    line.run("ruff", "check", "--quiet", "pipeline/model")
    for folder in ("stages", "pipeline", "pipeline/model", "pipeline/clip", "pipeline/common"):
        for name in LEFT_BEHIND:
            path = line.root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("not code")
        (line.root / folder / ".#fusion.py").symlink_to("somebody@a-machine.4711")  # Emacs's lock
    line.run(sys.executable, "-m", "compileall", "-q", "-f", "stages", "pipeline")
    assert json.loads(line.dvc("status", "--json")) == {}
    assert line.stages_run(line.dvc("repro")) == []
    (line.root / "pipeline/model/new.py").write_text("x = 1\n")
    assert set(json.loads(line.dvc("status", "--json"))) >= {"train", "evaluate"}
