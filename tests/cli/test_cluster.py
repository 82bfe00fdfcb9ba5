"""Parts as jobs: on this machine for real, and as Slurm would be asked for them."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.cluster import _setting
from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import UserError
from pipeline.features.embed import embed_images
from tests.processes import ROOT, write_params
from tests.world import World, jpeg, write_world

SUBMIT = [sys.executable, "-m", "pipeline.cli", "cluster", "submit"]
SBATCH = """#!/bin/sh
cp "$1" {folder}/submitted.sh
echo Submitted batch job 4711
"""


@pytest.fixture
def world(tiny_clip: Path, tmp_path: Path) -> World:
    """A project's folder with stories where dvc.yaml has them: two chunks of 8 images."""
    clip = {"model": str(tiny_clip), "batch_size": 1, "precision": "float32"}
    write_params(tmp_path, clip=clip)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    frames = {
        f"s{s}": [(jpeg(4 * s + f), f"Frame {f} of {s}.") for f in range(4)] for s in range(4)
    }
    return write_world(tmp_path / "data", frames)


def cluster(folder: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*SUBMIT, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_parts_run_here_and_those_that_fail_are_named(
    world: World, tiny_clip: Path, tmp_path: Path
) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed (requirements-cluster.txt)")
    file = world.raw / "train/00000.parquet"
    file.rename(tmp_path / "hidden")
    done = cluster(tmp_path, "--parts", "2", "--local", "image")
    assert done.returncode == 1
    first, second, last = done.stderr.splitlines()[-3:]
    assert first.startswith("part 1/2 failed: error: ") and "is missing" in first
    log = Path(second.rsplit("; log: ", 1)[1])
    assert log.is_file() and log.is_relative_to(os.environ["STORYCACHE_HOME"])
    assert last.startswith("error: 2 of 2 parts failed, as printed above; what is finished is kept")

    (tmp_path / "hidden").rename(file)
    done = cluster(tmp_path, "--parts", "2", "--local", "image")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all parts are in the cache; dvc repro publishes them\n")
    assert not (tmp_path / "data/features").exists()
    clip = FrozenClip.load(str(tiny_clip), precision="float32", batch_size=1)
    report = embed_images(clip, world.raw, world.frames, tmp_path / "out")
    assert (report.distinct, report.encoded) == (16, 0)


@pytest.mark.slow
@pytest.mark.thorough
def test_ctrl_c_leaves_the_jobs_running(world: World, tiny_clip: Path, tmp_path: Path) -> None:
    """A terminal sends it to the command and to all that it started."""
    pytest.importorskip("submitit", reason="submitit is not installed (requirements-cluster.txt)")
    submitting = subprocess.Popen(
        [*SUBMIT, "--parts", "2", "--local", "image"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert submitting.stdout is not None
    assert submitting.stdout.readline().startswith("2 jobs, ")
    os.killpg(submitting.pid, signal.SIGINT)
    _, said = submitting.communicate()  # until the jobs have ended, too: they have these pipes
    assert submitting.returncode == 130, said
    assert "the jobs go on without this command" in said
    clip = FrozenClip.load(str(tiny_clip), precision="float32", batch_size=1)
    assert embed_images(clip, world.raw, world.frames, tmp_path / "out").encoded == 0


def test_slurm_is_asked_for_an_array(world: World, tmp_path: Path) -> None:
    """The submission file, by an sbatch that only takes it."""
    pytest.importorskip("submitit", reason="submitit is not installed (requirements-cluster.txt)")
    (tmp_path / "bin").mkdir()
    for name in ("sbatch", "srun"):
        (tmp_path / "bin" / name).write_text(SBATCH.format(folder=tmp_path))
        (tmp_path / "bin" / name).chmod(0o755)
    asked = "--slurm --no-wait --partition short --time 90 --gpus 1 --set cpus_per_task=8".split()
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = cluster(tmp_path, "--parts", "16", *asked, "text", PATH=path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("16 jobs, 4711_0 the first; logs in ")
    lines = (tmp_path / "submitted.sh").read_text().splitlines()
    for line in (
        *("--array=0-15%16", "--partition=short", "--time=90", "--gpus-per-node=1"),
        *("--cpus-per-task=8", "--job-name=storycache-text"),
    ):
        assert f"#SBATCH {line}" in lines, lines


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--local", "--set", "speed=9"], "submitit refuses this: Parameter 'speed' need to be"),
        (["--local", "--set", "speed"], "--set speed: write it as KEY=VALUE"),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence(
    world: World, tmp_path: Path, words: list[str], sentence: str
) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed (requirements-cluster.txt)")
    done = cluster(tmp_path, "--parts", "2", *words, "image")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {sentence}") and done.stderr.count("\n") == 1


def test_values_have_the_types_of_yaml() -> None:
    assert _setting("cpus_per_task=8") == ("cpus_per_task", 8)
    assert _setting("slurm_constraint=a=b") == ("slurm_constraint", "a=b")
    with pytest.raises(UserError, match="write it as KEY=VALUE"):
        _setting("=8")


def test_without_submitit_one_sentence_says_how_to_get_it(world: World, tmp_path: Path) -> None:
    (tmp_path / "submitit.py").write_text("raise ImportError('not here')\n")
    done = cluster(tmp_path, "--parts", "2", "image")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not installed: pip install -r requirements-cluster.txt" in done.stderr
