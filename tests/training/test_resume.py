"""A killed run goes on, and nothing tells it from an undisturbed one."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.params_yaml import read_yaml

ROOT = Path(__file__).resolve().parents[2]

KILLED_AFTER = """
import os, signal, sys
from pipeline.training.checkpoint import Checkpoints
from stages.train import main

method, calls = sys.argv.pop(1), int(sys.argv.pop(1))
original = getattr(Checkpoints, method)

def then_die(*arguments):
    global calls
    original(*arguments)
    calls -= 1
    if not calls:
        os.kill(os.getpid(), signal.SIGKILL)

setattr(Checkpoints, method, then_die)
main()
"""
"""The stage, killed by SIGKILL right after so many calls of a method of `Checkpoints`."""


def _run(folder: Path, world: Any, home: Path, *program: str) -> subprocess.CompletedProcess[str]:
    paths = {name: str(getattr(world, name)) for name in ("frames", "splits", "images", "texts")}
    arguments = [part for name, path in paths.items() for part in (f"--{name}", path)]
    return subprocess.run(
        [sys.executable, *program, *arguments, "--out", "model", "--live", "live"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "STORYCACHE_HOME": str(home)},
        capture_output=True,
        text=True,
    )


def _finish(folder: Path, world: Any, home: Path) -> str:
    done = _run(folder, world, home, "-m", "stages.train")
    assert done.returncode == 0, done.stderr
    assert "best epoch" in done.stdout
    return done.stderr


def _kill(folder: Path, world: Any, home: Path, method: str, calls: int) -> None:
    killed = _run(folder, world, home, "-c", KILLED_AFTER, method, str(calls))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (folder / "model").exists()


def _params(folder: Path, gpt2: Path) -> None:
    """The shipped params.yaml, shrunk: three epochs of 15 steps, a checkpoint every 4."""
    params = read_yaml(ROOT / "params.yaml")
    params["context"]["k"] = 2
    params["fusion"] |= {"d_model": 32, "layers": 1, "heads": 2, "dropout": 0.3}
    params["decoder"] |= {"model": str(gpt2), "n_prefix": 2}
    params["prompt"] |= {"max_target_tokens": 32, "max_sequence_tokens": 128}
    params["train"] |= {"epochs": 3, "batch_size": 8, "checkpoint_every_steps": 4}
    folder.mkdir()
    YAML(typ="safe", pure=True).dump(params, folder / "params.yaml")


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for part in ("model", "live")
        for path in sorted((folder / part).rglob("*"))
        if path.is_file()
    }


def test_killed_three_times_and_byte_identical(world: Any, tiny_gpt2: Path, tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        _params(tmp_path / name, tiny_gpt2)
    _finish(tmp_path / "whole", world, tmp_path / "home-whole")

    killed, home = tmp_path / "killed", tmp_path / "home-killed"
    _kill(killed, world, home, "save", 2)  # within the first epoch, at step 8
    _kill(killed, world, home, "save_best", 1)  # its weights kept, the checkpoint still of step 12
    _kill(killed, world, home, "save", 5)  # within the second epoch: 15, 16, 20, 24, 28
    assert " 28/45 " in _finish(killed, world, home)  # it went on and did not start again
    whole = _files(tmp_path / "whole")
    assert whole == _files(killed)
    assert "model/model.safetensors" in whole
    assert "live/plots/metrics/val/nll.tsv" in whole
    assert not list((home / "training").iterdir())  # nothing is left behind
