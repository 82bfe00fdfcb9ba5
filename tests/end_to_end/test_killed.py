"""A run that is killed goes on where it was and ends with the bytes of an undisturbed one."""

import os
import re
import signal
import time
from collections.abc import Callable

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dvc")]


def kill_when(line, command: list[str], reached: Callable[[], bool]) -> None:
    """Start a command and kill it and all that it started as soon as `reached` says so."""
    process = line.start(*command)
    give_up = time.monotonic() + 1200
    while not reached():
        if process.poll() is not None or time.monotonic() > give_up:
            os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
            pytest.fail(f"never reached:\n{process.communicate()[0]}")
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it had ended already: nothing was tested"


@pytest.mark.thorough
def test_killed_while_embedding(fresh_line, first_repro):
    undisturbed, _ = first_repro
    line = fresh_line
    line.dvc("repro", "prepare")
    cache = line.home / "storycache"

    def something_is_kept() -> bool:
        return any(path.suffix != ".partial" for path in cache.rglob("*.h5"))

    kill_when(line, ["dvc", "repro", "embed_image"], something_is_kept)
    assert not (line.root / "data/features/image/00000.h5").exists()
    output = line.dvc("repro", "embed_image")
    assert line.stages_run(output) == ["embed_image"]
    kept = re.search(r"(\d+) from the cache, (\d+) encoded", output)
    assert kept, output
    assert int(kept[1]) > 0
    assert int(kept[2]) > 0
    folder = "data/features/image"
    assert line.contents(folder) == undisturbed.contents(folder)


@pytest.mark.thorough
def test_killed_while_training(line):
    undisturbed = line.contents("data/models/baseline", "data/live/train")
    lock = (line.root / "dvc.lock").read_bytes()
    states = line.home / "storycache" / "training"

    def a_checkpoint_is_kept() -> bool:
        return any(path.is_file() for path in states.rglob("*.safetensors"))

    train = ["dvc", "repro", "--single-item", "--force", "train"]
    kill_when(line, train, a_checkpoint_is_kept)
    assert not (line.root / "data/models/baseline/model.safetensors").exists()
    output = line.run(*train)
    first_step = re.search(r"train:.*?(\d+)/\d+ \[", output)
    assert first_step, output
    assert int(first_step[1]) > 0, "it began anew"
    assert line.contents("data/models/baseline", "data/live/train") == undisturbed
    assert (line.root / "dvc.lock").read_bytes() == lock
