"""`storycache plan` on stories at hand, and what it refuses."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.cli.test_app import ROOT, storycache
from tests.world import jpeg, write_world

RATES = ("--image-rate", "1000", "--caption-rate", "2000")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path) -> Path:
    folder = tmp_path_factory.mktemp("project")
    write_world(folder / "data", {"s": [(jpeg(i), f"It is {i}.") for i in range(6)]})
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "data/sample").mkdir()
    os.symlink(tiny_clip, folder / "data/sample/clip")
    return folder


def test_rates_measured_here_make_a_plan(project: Path) -> None:
    before = sorted(project.rglob("*"))
    done = storycache("plan", "--frames", "1e8", "--seconds", "0.1", "--json", folder=project)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert (plan["frames"], plan["workers"], plan["price"]) == (100_000_000, 1, None)
    assert plan["image_hours"] == pytest.approx(1e8 / plan["rates"]["images"] / 3600)
    assert sorted(project.rglob("*")) == before, "nothing is kept"


def test_given_rates_are_a_table(project: Path) -> None:
    words = ("--frames", "3.6e6", "--gpus", "2", "--price", "3", *RATES)
    done = storycache("plan", *words, folder=project)
    assert done.returncode == 0, done.stderr
    first, blank, *lines = done.stdout.splitlines()
    assert first == "3,600,000 frames and captions; data/sample/clip, as given"
    table = dict(line.split(maxsplit=1) for line in lines)
    assert blank == ""
    assert table["images"] == "30.0 minutes, 2 workers"
    assert table["captions"] == "15.0 minutes, 2 workers"
    assert table["price"] == "4.50"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--gpus", "64"), "there is no GPU here to be measured"),
        (("--workers", "2", "--gpus", "2", *RATES), "both say how many"),
        (("--workers", "0", *RATES), "0 workers embed nothing"),
        (("--image-rate", "10"), "belong together"),
        (("--image-rate", "10", "--caption-rate", "-1"), "above 0"),
    ],
)
def test_what_cannot_be_planned_is_a_sentence(
    project: Path, words: tuple[str, ...], sentence: str
) -> None:
    done = storycache("plan", "--frames", "10", *words, folder=project)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_stories_it_says_what_to_run(tmp_path: Path, project: Path) -> None:
    shutil.copy(project / "params.yaml", tmp_path)
    (tmp_path / "data/sample").mkdir(parents=True)
    os.symlink(project / "data/sample/clip", tmp_path / "data/sample/clip")
    done = storycache("plan", "--frames", "10", folder=tmp_path)
    assert done.returncode == 1
    assert "dvc repro prepare" in done.stderr
