"""A disk that takes no more ends a stage in one sentence, and the next run goes on."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.processes import LIMITED
from tests.training.test_resume import CHECKPOINTS, _finish, _kill, _params, _run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="limits of processes are POSIX's"),
]

CACHE = {"subset_stories": 8, "samples_per_story": 2, "refresh_epochs": 0}


def _limited(folder: Path, world: Any, home: Path, stage: str, most: int) -> str:
    """The one sentence that a stage ends in under such a limit."""
    done = _run(folder, world, home, stage, "-c", LIMITED, stage, str(most))
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    (line,) = re.findall(r"error: .*$", done.stderr, re.MULTILINE)
    assert len(line) < 500
    left = [path for place in (folder, home) for path in place.rglob("*.partial")]
    assert not left
    return str(line)


@pytest.mark.thorough
def test_training_and_sampling(world: Any, tiny_gpt2: Path, tmp_path: Path) -> None:
    folder, home = tmp_path / "run", tmp_path / "home"
    _params(folder, tiny_gpt2, variant="cached", cache=CACHE)
    params = (folder / "params.yaml").read_text()
    later = params.replace("checkpoint_every_steps: 4", "checkpoint_every_steps: 50")
    (folder / "params.yaml").write_text(later)  # curves come first
    said = _limited(folder, world, home, "train", 10)
    assert said.startswith("error: live cannot be written (file too large); make room there")
    (folder / "params.yaml").write_text(params)
    said = _limited(folder, world, home, "train", 20_000)
    assert re.search(
        r"checkpoint\.safetensors cannot be written \(file too large: \d+\.\d MB needed\); make "
        r"room there, and run the same again, or set STORYCACHE_HOME to a folder with room",
        said,
    )
    assert not (folder / "model").exists()
    _kill(folder, world, home, "train", CHECKPOINTS, "save", 2)
    (checkpoint,) = home.rglob("checkpoint.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    said = _finish(folder, world, home)
    assert re.search(r"^warning: .*checkpoint\.safetensors .*; the run starts anew$", said, re.M)

    said = _limited(folder, world, home, "captions", 1000)
    assert f"{home}/captions/" in said and "set STORYCACHE_HOME" in said
    _finish(folder, world, home, "captions")
    (folder / "captions.h5").unlink()
    said = _limited(folder, world, home, "captions", 1000)
    assert said.startswith("error: captions.h5 cannot be written (file too large: ")
    assert "STORYCACHE_HOME" not in said
    assert not (folder / "captions.h5").exists()
    _finish(folder, world, home, "captions")
