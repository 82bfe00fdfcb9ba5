"""`storycache predict`, as it is typed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.app import spread
from tests.predict.conftest import CAPTIONS
from tests.predict.conftest import pictures as pictures

ROOT = Path(__file__).parents[2]


def predict(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "predict", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_pictures_and_captions(model, pictures, teller, tmp_path):
    paths = [str(path) for path in pictures[:2]]
    words = ("--images", *paths, "--captions", *CAPTIONS, "--model", str(model))
    done = predict(tmp_path, *words)
    assert (done.returncode, done.stdout) == (0, teller.tell(paths, CAPTIONS) + "\n"), done.stderr
    several = predict(tmp_path, *words, "--samples", "3", "--seed", "5", "--json")
    found = json.loads(several.stdout)["alternatives"]
    assert [a["caption"] for a in found] == [
        a.caption for a in teller.alternatives(paths, CAPTIONS, 3, seed=5)
    ]


@pytest.mark.parametrize("kept", ["beside", "captions.txt", "captions.jsonl"])
def test_a_folder_in_natural_order(model, pictures, teller, tmp_path, kept):
    folder = tmp_path / "story"
    folder.mkdir()
    for name, picture, caption in zip(("2", "10"), pictures[:2], CAPTIONS, strict=True):
        shutil.copy(picture, folder / f"{name}.jpg")
        if kept == "beside":
            (folder / f"{name}.txt").write_text(caption)
    if kept == "captions.txt":
        (folder / kept).write_text("\n".join(CAPTIONS))
    if kept == "captions.jsonl":
        rows = [{"image": f"{n}.jpg", "caption": c} for n, c in zip((2, 10), CAPTIONS, strict=True)]
        (folder / kept).write_text("\n".join(map(json.dumps, rows)))
    done = predict(tmp_path, "--images", "story", "--model", str(model))
    assert done.stdout == teller.tell(pictures[:2], CAPTIONS) + "\n", done.stderr


def test_many(model, pictures, tmp_path):
    frames = [{"image": str(p), "caption": c} for p, c in zip(pictures, CAPTIONS, strict=False)]
    (tmp_path / "stories.jsonl").write_text(json.dumps({"story_id": "a", "frames": frames}) + "\n")
    words = ("--batch", "stories.jsonl", "--out", "captions.jsonl", "--model", str(model))
    done = predict(tmp_path, *words)
    assert done.returncode == 0 and "1 captions in captions.jsonl, 0 lines left out" in done.stderr
    assert json.loads((tmp_path / "captions.jsonl").read_text())["story_id"] == "a"
    assert {path.name for path in tmp_path.iterdir()} == {"stories.jsonl", "captions.jsonl"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "give either --images, with a caption for each, or --batch with --out"),
        (("--images", "a.jpg", "--batch", "s.jsonl"), "give either --images"),
        (("--batch", "s.jsonl"), "--batch and --out go together"),
        (("--batch", "s.jsonl", "--out", "o.jsonl"), "there is no file s.jsonl"),
        (("--images", "a.jpg"), "there is no data/models/final here: train a model with dvc repro"),
        (("--images", "."), "holds no pictures; give the folder of one story"),
        (("--images", "a.jpg", "--model", "no/such"), "no/such is no model folder here"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(tmp_path, words, sentence):
    done = predict(tmp_path, *words)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_options_of_several_values():
    words = ["--images", "a", "b", "--model", "m", "--captions", "x", "- y", "--json"]
    assert spread(words, ("--images", "--captions")) == [
        *("--images", "a", "--images", "b", "--model", "m"),
        *("--captions", "x", "--captions", "- y", "--json"),
    ]
    assert spread(words, ()) == words
