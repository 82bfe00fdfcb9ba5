"""The stage's command on files: what it writes, prints and refuses."""

import json
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.common.errors import UserError
from pipeline.common.files import write_json
from pipeline.common.stage import call_stage
from pipeline.params import LossParams
from stages.evaluate import evaluate
from tests.processes import LIMITED, ROOT, python
from tests.world import save_model, write_features

TRAINED: dict[str, Any] = {"loss": LossParams().model_dump(), "train": {"batch_size": 4}}


@pytest.fixture
def files(setting: Any, tiny_judge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The world's files in a folder of its own, which is the working directory."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(tiny_judge, tmp_path / "data/sample/judge")
    shutil.copy(setting.files.frames, tmp_path)
    write_json(
        tmp_path / "splits.json",
        {"train": ["s0"], "val": ["s1", "s2", "s3"], "test": ["s4", "s5"], "bins": {}},
    )
    save_model(tmp_path / "model", setting.clip, setting.subject.captioner.generator, **TRAINED)
    monkeypatch.chdir(tmp_path)
    arguments = {
        "--raw": str(setting.files.raw),
        "--frames": "frames.parquet",
        "--annotations": str(setting.files.annotations),
        "--splits": "splits.json",
        "--images": str(setting.images.folder),
        "--texts": str(setting.texts.folder),
        "--model": "model",
        "--metrics": "metrics.json",
        "--card": "card.md",
        "--out": "eval",
    }
    words = [word for pair in arguments.items() for word in pair]
    monkeypatch.setattr(sys, "argv", ["evaluate", *words])
    return tmp_path


def main() -> None:
    call_stage(sys.argv[1:], evaluate)


def test_writes_metrics_predictions_and_plots(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main()
    metrics = json.loads((files / "metrics.json").read_text())
    assert metrics["val"]["stories"] == 3
    assert metrics["test"]["stories"] == 2
    assert sorted(path.name for path in (files / "eval").iterdir()) == [
        "SHA256SUMS",
        "metrics_full.json",
        "predictions.jsonl",
        "recall_test.json",
        "recall_val.json",
        "score_histogram_test.json",
        "score_histogram_val.json",
        "words_histogram_test.json",
        "words_histogram_val.json",
    ]
    full = json.loads((files / "eval/metrics_full.json").read_text())
    assert full["settings"]["judge"] == "data/sample/judge"
    card = (files / "card.md").read_text()
    assert "## Scores: test, 2 stories" in card
    printed = capsys.readouterr().out
    assert printed.startswith("val: clip_cosine ")
    assert f"test: clip_cosine {metrics['test']['clip_cosine']:.3f}" in printed


def test_a_model_that_reads_a_few_words_is_scored_by_whole_captions(
    files: Path, setting: Any
) -> None:
    def measured() -> tuple[float, float]:
        main()
        scores = json.loads((files / "metrics.json").read_text())["test"]
        return scores["clip_cosine_ground_truth"], scores["nll"]

    true, nll = measured()
    cut = replace(setting.clip, max_words=2)
    world = replace(setting.files, images=files / "images", texts=files / "texts")
    write_features(world, cut)
    save_model(files / "model", cut, setting.subject.captioner.generator, **TRAINED)
    sys.argv[sys.argv.index("--texts") + 1] = "texts"
    true_of_cut, nll_of_cut = measured()
    assert true_of_cut == true
    assert nll_of_cut != nll, "the model does read other embeddings"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="limits of processes are POSIX's")
def test_a_home_without_room_is_one_sentence(files: Path) -> None:
    """A limit on the size of files stands for a full disk, on which HDF5 itself would crash."""
    home = str(files / "home")
    done = python("-c", LIMITED, "evaluate", "1000", *sys.argv[1:], STORYCACHE_HOME=home)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    (line,) = re.findall(r"error: .*$", done.stderr, re.MULTILINE)
    assert f"{files}/home/embeddings/" in line and "set STORYCACHE_HOME" in line
    assert not (files / "metrics.json").exists() and not (files / "eval").exists()
    assert not list(files.rglob("*.partial"))


def test_a_missing_model_is_one_sentence(files: Path) -> None:
    shutil.rmtree(files / "model")
    with pytest.raises(UserError, match=r"config\.json is missing; run dvc repro"):
        main()
    assert not (files / "metrics.json").exists()


def test_missing_annotations_are_one_sentence(files: Path, tmp_path: Path) -> None:
    sys.argv[sys.argv.index("--annotations") + 1] = str(tmp_path / "annotations.parquet")
    with pytest.raises(UserError, match=r"annotations.parquet is missing; run the prepare stage"):
        main()
    assert not (files / "metrics.json").exists() and not (files / "eval").exists()


def test_images_that_have_changed_are_one_sentence(files: Path, tmp_path: Path) -> None:
    """The judge reads the raw stories; others than those of prepare would be scored in silence."""
    sys.argv[sys.argv.index("--raw") + 1] = str(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"test.00000.parquet is missing"):
        main()
    assert not (files / "metrics.json").exists()


def test_a_judge_that_is_no_second_one_is_told(
    files: Path, tiny_clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(files / "data/sample/judge")
    shutil.copytree(tiny_clip, files / "data/sample/judge")
    main()
    assert "its verdict is not an independent one" in capsys.readouterr().err


def test_an_unknown_judge_is_one_sentence(files: Path) -> None:
    shutil.rmtree(files / "data/sample/judge")
    with pytest.raises(UserError, match=r"data/sample/judge"):
        main()
