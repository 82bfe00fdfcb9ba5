"""The stage `captions` in parts, as processes with as many threads each (`tests/conftest.py`)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, write_params
from tests.world import World


@pytest.mark.slow
@pytest.mark.thorough
def test_processes_at_once_write_the_bytes_of_one(
    world: World, model: Path, tmp_path: Path
) -> None:
    cache = {"subset_stories": 6, "samples_per_story": 2}
    generate = {"batch_size": 1, "max_new_tokens": 6}
    write_params(tmp_path, gan={"variant": "cached", "cache": cache}, generate=generate)
    inputs = {"frames": world.frames, "splits": world.splits}
    inputs |= {"images": world.images, "texts": world.texts, "model": model}

    def stage(home: str, *options: str) -> "subprocess.Popen[str]":
        paths = [word for name, path in inputs.items() for word in (f"--{name}", str(path))]
        return subprocess.Popen(
            [sys.executable, "-m", "stages.captions", *paths, "--out", "captions.h5", *options],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "STORYCACHE_HOME": str(tmp_path / home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    out = tmp_path / "captions.h5"
    alone = stage("alone")
    printed, said = alone.communicate()
    assert alone.returncode == 0, said
    expected = out.read_bytes()
    out.write_text("another run's")

    both = [stage("shared", "--part", part) for part in ("1/2", "2/2")]
    printed = [process.communicate()[0] for process in both]
    assert [text.split("; part")[0] for text in printed] == ["captions: 6 written"] * 2
    assert out.read_text() == "another run's"
    again = stage("shared", "--part", "2/3")
    assert "0 written; part 2/3 of 12, of which 12 are in the cache" in again.communicate()[0]
    stage("shared").communicate()
    assert out.read_bytes() == expected
