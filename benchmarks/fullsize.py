"""The full-size check: every stage on real shapes, each in a process of its own.

Random weights in the shapes of ViT-B/32 and GPT-2 small, K = 4, stories of the sample with frames
240 pixels high. Nothing is learned; what is measured is that the line runs, how fast, and in how
much memory. The commands are those of dvc.yaml, run in a folder of their own.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.errors import UserError
from pipeline.files import read_json
from pipeline.params_yaml import read_yaml

ROOT = Path(__file__).resolve().parents[1]
LINE = (
    *("download", "prepare", "split", "embed_image", "embed_text", "train"),
    *("captions", "adversarial", "evaluate", "report"),
)


@dataclass
class StageRun:
    """One stage as it ran."""

    name: str
    seconds: float
    """Wall time, imports included."""
    peak_mb: float
    """Peak resident memory of its process, in MB."""
    said: str
    """Last line that it printed."""


def run_fullsize(folder: Path, stories: int = 50, layers: int = 12) -> dict[str, Any]:
    """Build the backbones and run the line once, with an encode cache of its own.

    Args:
        folder: an empty folder; about 2 GB are written at full size.
        stories: train and test together.
        layers: per tower and decoder; 12 is the real number, fewer are for trying this out.

    Returns:
        `stages` (name, seconds, peak_mb, said), `rates` (items per second), `epochs` (seconds per
        window of each kind of training epoch), `stories`, `layers`.

    Raises:
        UserError: if a stage fails; its own message is on stderr.
    """
    # In a process of its own: a stage's peak memory counts from what this process held when it
    # started the stage, so this one must stay small.
    build = [sys.executable, "-m", "benchmarks.backbones", "--out", str(folder)]
    subprocess.run([*build, "--layers", str(layers)], cwd=ROOT, check=True)
    _write_params(folder, stories)
    commands = _commands()
    runs = [_run(name, commands[name], folder) for name in LINE]
    _run("epochs", ["python", "-m", "benchmarks.adversarial", "--out", "epochs.json"], folder)
    return {
        "stories": stories,
        "layers": layers,
        "epochs": read_json(folder / "epochs.json"),
        "stages": [asdict(run) for run in runs],
        "rates": _rates(folder, stories, runs),
    }


def _write_params(folder: Path, stories: int) -> None:
    """The repository's params.yaml with the backbones exchanged and one short epoch."""
    params = read_yaml(ROOT / "params.yaml")
    params["dataset"].update(source="sample", limit_stories=None)
    params["dataset"]["sample"]["stories"] = stories
    params["context"].update(k=4, windows="first")
    params["clip"].update(model="clip", revision=None)
    params["decoder"].update(model="gpt2", revision=None)
    params["train"].update(epochs=1, batch_size=8)
    params["generate"].update(strategy="greedy", max_new_tokens=64)
    params["gan"].update(variant="hardneg", epochs=1)
    params["gan"]["cache"].update(subset_stories=8, samples_per_story=4)
    params["evaluate"].update(judge="clip")  # its images are in the encode cache by then
    YAML(typ="safe", pure=True).dump(params, folder / "params.yaml")


def _commands() -> dict[str, list[str]]:
    stages = read_yaml(ROOT / "dvc.yaml")["stages"]
    return {name: shlex.split(stages[name]["cmd"]) for name in LINE}


def _run(name: str, command: list[str], folder: Path) -> StageRun:
    print(f"{name}: {shlex.join(command)}", flush=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "STORYCACHE_HOME": str(folder / "home"),
        "HF_HUB_OFFLINE": "1",
    }
    output = folder / f"{name}.out"
    started = time.perf_counter()
    with output.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, *command[1:]],
            cwd=folder,
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    # A progress bar overwrites itself by carriage returns.
    printed = re.split(r"[\r\n]+", output.read_text(encoding="utf-8").strip())
    if process.returncode:
        print("\n".join(printed[-20:]), file=sys.stderr)
        raise UserError(f"stage {name} failed with status {process.returncode}, as printed above")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes there, KiB on Linux
    return StageRun(name, seconds, usage.ru_maxrss * unit / 2**20, printed[-1])


def _rates(folder: Path, stories: int, runs: list[StageRun]) -> dict[str, float]:
    """Items per second by wall time, start-up of the process included."""
    import pyarrow.parquet as pq

    from pipeline.stories.splits import read_splits

    seconds = {run.name: run.seconds for run in runs}
    frames = pq.read_metadata(folder / "data/stories/frames.parquet").num_rows
    splits = read_splits(folder / "data/stories/splits.json")
    evaluated = len(splits["val"]) + len(splits["test"])
    return {
        "embed_image, images/s": frames / seconds["embed_image"],
        "embed_text, captions/s": frames / seconds["embed_text"],
        "train, stories/s": len(splits["train"]) / seconds["train"],
        "evaluate, stories/s": evaluated / seconds["evaluate"],
        "whole line, stories/s": stories / sum(seconds.values()),
    }
