"""`python -m benchmarks.kills`: the line killed at random moments ends as if undisturbed.

A small line with the adversarial stage runs once in peace. In a second copy, `dvc repro` is killed
(SIGKILL) after random times: its whole process group, DVC alone, or the stage alone; and started
again at once, as `make repro` does it. Whenever it comes to its end, every file that DVC made must
be the same, and the copy starts anew from nothing. Linux or macOS.
"""

import argparse
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML

from benchmarks.clone import Clone, make_clone
from pipeline.common.errors import UserError, exit_cleanly
from pipeline.repository.line import paths_of, read_line

SMALL: dict[str, dict[str, Any]] = {
    "dataset": {"sample": {"stories": 30, "seed": 7}},
    "fusion": {"d_model": 32, "layers": 1, "heads": 2},
    "prompt": {"words_per_caption": 5, "max_target_tokens": 24, "max_sequence_tokens": 192},
    "train": {"epochs": 2, "batch_size": 8, "warmup_steps": 2, "checkpoint_every_steps": 2},
    "generate": {"max_new_tokens": 8, "batch_size": 8},
    "gan": {
        "variant": "hardneg",
        "epochs": 2,
        "text_every_steps": 1,
        "cache": {
            "subset_stories": 16,
            "samples_per_story": 4,
            "refresh_epochs": 1,
            "feature_matching": 0.0,
        },
    },
}
VICTIMS = ("group", "dvc", "stage")
LONGEST_WAIT = 0.15
"""Between the start of DVC and the kill, of the undisturbed time: longer than any stage takes."""
REPRO = ("sh", "-c", "python -m pipeline.repository.after_kill && exec dvc repro --verbose")
"""What `make repro` does, in one process that becomes DVC."""


def run_kills(folder: Path, kills: int, seed: int) -> Counter[tuple[str, str]]:
    """Kill so many times and compare at every end.

    Returns:
        How often each victim was killed in each stage.

    Raises:
        UserError: an end was not the undisturbed one, or a run failed by itself.
    """
    chance = random.Random(seed)
    clones = {}
    for name in ("undisturbed", "killed"):
        (folder / name).mkdir()
        clones[name] = make_clone(folder / name)
        _shrink(clones[name].root / "params.yaml")
        clones[name].commit()
    seconds, _ = clones["undisturbed"].dvc("repro")
    wanted = digests(clones["undisturbed"])
    killed, counts, ends = clones["killed"], Counter[tuple[str, str]](), 0
    while counts.total() < kills:
        victim = chance.choice(VICTIMS)
        stage = _run_and_kill(killed, folder, victim, chance.uniform(0, LONGEST_WAIT * seconds))
        if stage is None:
            _compare(wanted, digests(killed))
            ends += 1
            _start_anew(killed)
            continue
        counts[victim, stage] += 1
        print(f"{counts.total()}: {victim} killed in {stage}", flush=True)
    _run_and_kill(killed, folder, "none", None)
    _compare(wanted, digests(killed))
    print(f"{counts.total()} kills, {ends + 1} ends, each with the {len(wanted)} files undisturbed")
    return counts


def digests(clone: Clone) -> dict[str, str]:
    """SHA-256 of every file that DVC's outputs, metrics and lock consist of, by its path."""
    outs = [clone.root / "dvc.lock"]
    for stage in read_line(clone.root).values():
        outs += [clone.root / out for out in paths_of(stage, "outs", "metrics")]
    files = {path for out in outs for path in (out, *out.rglob("*")) if path.is_file()}
    return {
        str(path.relative_to(clone.root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
    }


def _run_and_kill(clone: Clone, folder: Path, victim: str, after: float | None) -> str | None:
    """Start `dvc repro` and kill `victim` so many seconds later.

    Returns:
        The stage that ran then, or "none"; None if it had come to its end before.
    """
    log = folder / "repro.out"
    with log.open("w", encoding="utf-8") as output:
        dvc = clone.start(output, *REPRO)
        try:
            dvc.wait(after)
        except subprocess.TimeoutExpired:
            _kill(dvc, victim)
            running = re.findall(r"^Running stage '(\w+)'", _read(log), flags=re.MULTILINE)
            return running[-1] if running else "none"
        finally:
            if dvc.poll() is None:  # this process was asked to stop
                _kill(dvc, "group")
    if dvc.returncode:
        print(_read(log)[-4000:], file=sys.stderr)
        raise UserError(f"dvc repro failed by itself, as printed above; see {folder}")
    return None


def _kill(dvc: subprocess.Popen[str], victim: str) -> None:
    """Kill it and wait until DVC is gone; a stage may still be there."""
    if victim == "group":
        os.killpg(dvc.pid, signal.SIGKILL)
    elif victim == "dvc":
        dvc.kill()
    else:
        children = psutil.Process(dvc.pid).children()
        for child in children:
            child.kill()
        if not children:  # between two stages
            dvc.kill()
    dvc.wait()


def _start_anew(clone: Clone) -> None:
    clone.run("git", "clean", "--quiet", "-xdff")
    clone.run("git", "checkout", "--quiet", ".")
    shutil.rmtree(clone.home)
    clone.home.mkdir()


def _compare(wanted: dict[str, str], found: dict[str, str]) -> None:
    differ = [name for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name)]
    if differ:
        raise UserError(f"other than undisturbed: {', '.join(differ)[:400]}")


def _shrink(path: Path) -> None:
    yaml = YAML()
    params = yaml.load(path)
    for group, values in SMALL.items():
        params[group].update(values)
    yaml.dump(params, path)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="kills-"))  # which stays after a failure, to be looked at
    counts = run_kills(folder, arguments.kills, arguments.seed)
    shutil.rmtree(folder)
    for stage in dict.fromkeys(stage for _, stage in counts):
        row = ", ".join(f"{counts[victim, stage]} {victim}" for victim in VICTIMS)
        print(f"{stage:<12} {row}")
    print(f"{(time.perf_counter() - started) / 60:.0f} minutes")


if __name__ == "__main__":
    exit_cleanly(main)
