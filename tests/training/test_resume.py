"""A killed run goes on, and nothing tells it from an undisturbed one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ROOT, python, write_params

pytestmark = pytest.mark.slow

KILLED_AFTER = """
import importlib, os, signal, sys

stage, where, name, method = (sys.argv.pop(1) for _ in range(4))
calls = int(sys.argv.pop(1))
from pipeline.common.stage import run_stage
main = getattr(importlib.import_module(f"stages.{stage}"), stage)
owner = getattr(importlib.import_module(where), name)
original = getattr(owner, method)

def then_die(*arguments):
    global calls
    original(*arguments)
    calls -= 1
    if not calls:
        os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, method, then_die)
run_stage(main)
"""
"""A stage, killed by SIGKILL right after so many calls of a method of a class."""

CHECKPOINTS = ("pipeline.training.checkpoint", "Checkpoints")
CACHE = ("pipeline.captioning.cache", "CaptionCache")
OWN = {
    "train": ["--out", "model", "--live", "live"],
    "captions": ["--model", "model", "--out", "captions.h5"],
    "adversarial": [
        *("--model", "model", "--captions", "captions.h5"),
        *("--out", "final", "--live", "live-adversarial"),
    ],
}
"""Arguments of each stage besides the data."""


def _arguments(world: Any, stage: str) -> list[str]:
    paths = {name: str(getattr(world, name)) for name in ("frames", "splits", "images", "texts")}
    return [*(part for name, path in paths.items() for part in (f"--{name}", path)), *OWN[stage]]


def _run(
    folder: Path, world: Any, home: Path, stage: str, *program: str
) -> "subprocess.CompletedProcess[str]":
    arguments = _arguments(world, stage)
    return python(*program, *arguments, cwd=folder, STORYCACHE_HOME=str(home))


def _finish(folder: Path, world: Any, home: Path, stage: str = "train") -> str:
    """Run a stage to its end; returns its progress bar."""
    done = _run(folder, world, home, stage, "-m", f"stages.{stage}")
    assert done.returncode == 0, done.stderr
    return done.stderr


def _kill(
    folder: Path,
    world: Any,
    home: Path,
    stage: str,
    owner: tuple[str, str],
    method: str,
    calls: int,
) -> None:
    program = ("-c", KILLED_AFTER, stage, *owner, method, str(calls))
    killed = _run(folder, world, home, stage, *program)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (folder / OWN[stage][OWN[stage].index("--out") + 1]).exists()


def _params(folder: Path, gpt2: Path, tune: str = "frozen", **gan: Any) -> None:
    """The shipped params.yaml, shrunk: three epochs of 15 steps, a checkpoint every 4."""
    cache = {"subset_stories": 120, "samples_per_story": 2, "refresh_epochs": 0}
    write_params(
        folder,
        context={"k": 2},
        fusion={"d_model": 32, "layers": 1, "heads": 2, "dropout": 0.3},
        decoder={"model": str(gpt2), "n_prefix": 2, "tune": tune},
        prompt={"max_target_tokens": 32, "max_sequence_tokens": 128},
        train={"epochs": 3, "batch_size": 8, "checkpoint_every_steps": 4},
        generate={"max_new_tokens": 8, "batch_size": 8},
        gan={"cache": cache} | gan,
    )


@pytest.fixture(scope="module")
def baseline(world: Any, tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of the stage `train`, for the stages after it."""
    folder = tmp_path_factory.mktemp("baseline") / "run"
    _params(folder, tiny_gpt2)
    _finish(folder, world, folder.parent / "home")
    return folder / "model"


def _files(folder: Path, *parts: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for part in parts
        for path in sorted((folder / part).rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("tune", ["frozen", "lora"])
def test_killed_three_times_and_byte_identical(
    world: Any, tiny_gpt2: Path, tmp_path: Path, tune: str
) -> None:
    for name in ("whole", "killed"):
        _params(tmp_path / name, tiny_gpt2, tune)
    _finish(tmp_path / "whole", world, tmp_path / "home-whole")

    killed, home = tmp_path / "killed", tmp_path / "home-killed"
    run = (killed, world, home, "train", CHECKPOINTS)
    _kill(*run, "save", 2)  # within the first epoch, at step 8
    _kill(*run, "save_best", 1)  # its weights kept, the checkpoint still of step 12
    _kill(*run, "save", 5)  # within the second epoch: 15, 16, 20, 24, 28
    assert " 28/45 " in _finish(killed, world, home)  # it went on and did not start again
    whole = _files(tmp_path / "whole", "model", "live")
    assert whole == _files(killed, "model", "live")
    assert "model/model.safetensors" in whole
    assert "live/plots/metrics/val/nll.tsv" in whole
    assert not list((home / "training").iterdir())  # nothing is left behind


@pytest.mark.skipif(os.name != "posix", reason="stops a process for a while")
def test_two_runs_of_one_training_leave_each_other_alone(
    world: Any, tiny_gpt2: Path, tmp_path: Path
) -> None:
    """As from two clones: the first to end clears up, while the other is amid its epochs."""
    home = tmp_path / "home"
    for name in ("slow", "quick"):
        _params(tmp_path / name, tiny_gpt2)
    slow = subprocess.Popen(
        [sys.executable, "-m", "stages.train", *_arguments(world, "train")],
        cwd=tmp_path / "slow",
        env=os.environ | {"PYTHONPATH": str(ROOT), "STORYCACHE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(home.rglob("best-0.safetensors")):
        assert slow.poll() is None
        time.sleep(0.001)
    slow.send_signal(signal.SIGSTOP)
    _finish(tmp_path / "quick", world, home)
    assert list(home.rglob("best-*.safetensors")), "the slow run's"
    slow.send_signal(signal.SIGCONT)
    _, errors = slow.communicate()
    assert slow.returncode == 0, errors
    parts = ("model", "live")
    assert _files(tmp_path / "slow", *parts) == _files(tmp_path / "quick", *parts)
    assert not list((home / "training").iterdir())


CLIP_REWARD = {
    "signal": "text",
    "reward": "clip",
    "text_stories": 8,
    "true_captions": True,
    "cache": {"subset_stories": 20, "samples_per_story": 2, "refresh_epochs": 0},
}
"""Old log-probabilities, of true captions too, stay those of the baseline, however often killed."""


@pytest.mark.parametrize(
    ("variant", "changes"), [("naive", {}), ("cached", {}), ("cached", CLIP_REWARD)]
)
@pytest.mark.thorough
def test_the_adversarial_stages_killed_and_byte_identical(
    world: Any,
    tiny_gpt2: Path,
    baseline: Path,
    tmp_path: Path,
    variant: str,
    changes: dict[str, Any],
) -> None:
    cache = {"subset_stories": 20, "samples_per_story": 2, "refresh_epochs": 1}
    for name in ("whole", "killed"):
        gan = {"variant": variant, "epochs": 3, "text_every_steps": 1, "cache": cache} | changes
        _params(tmp_path / name, tiny_gpt2, **gan)
        shutil.copytree(baseline, tmp_path / name / "model")
    whole, killed, home = tmp_path / "whole", tmp_path / "killed", tmp_path / "home-killed"
    for stage in ("captions", "adversarial"):
        _finish(whole, world, tmp_path / "home-whole", stage)

    if variant == "cached":
        _kill(killed, world, home, "captions", CACHE, "add", 1)
        assert " 16/40 " in _finish(killed, world, home, "captions")  # what was written is kept
    else:
        _finish(killed, world, home, "captions")
    run = (killed, world, home, "adversarial", CHECKPOINTS)
    _kill(*run, "save_best", 1)  # the baseline's weights, before the first step
    _kill(*run, "save_best", 2)  # at the end of the first epoch of 4 steps
    _kill(*run, "save", 2)  # at the end of the second one, the captions written anew
    assert " 8/12 " in _finish(killed, world, home, "adversarial")
    parts = ("final", "live-adversarial")
    assert (whole / "captions.h5").read_bytes() == (killed / "captions.h5").read_bytes()
    assert _files(whole, *parts) == _files(killed, *parts)
    judged = "final/discriminator.safetensors" in _files(killed, *parts)
    assert judged == (changes != CLIP_REWARD)
    assert not list((home / "training").iterdir())


def test_variant_none_is_the_baseline(
    world: Any, tiny_gpt2: Path, baseline: Path, tmp_path: Path
) -> None:
    _params(tmp_path / "none", tiny_gpt2, variant="none")
    shutil.copytree(baseline, tmp_path / "none" / "model")
    for stage in ("captions", "adversarial"):
        _finish(tmp_path / "none", world, tmp_path / "home", stage)
    model, final = _files(tmp_path / "none/model", "."), _files(tmp_path / "none/final", ".")
    before, after = (json.loads(files.pop("params.json")) for files in (model, final))
    assert after.pop("generate")["top_p"] == 0.9
    assert before == after
    assert model.pop("SHA256SUMS") != final.pop("SHA256SUMS")
    assert model == final


def test_captions_of_another_generator_are_refused(
    world: Any, tiny_gpt2: Path, baseline: Path, tmp_path: Path
) -> None:
    folder, home = tmp_path / "run", tmp_path / "home"
    _params(folder, tiny_gpt2, variant="cached")
    shutil.copytree(baseline, folder / "model")
    _finish(folder, world, home, "captions")
    params = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(params.replace("top_p: 0.9", "top_p: 0.8"))
    refused = _run(folder, world, home, "adversarial", "-m", "stages.adversarial")
    assert refused.returncode == 1
    assert "run dvc repro captions" in refused.stderr.splitlines()[-1]
    assert not (folder / "final").exists()
