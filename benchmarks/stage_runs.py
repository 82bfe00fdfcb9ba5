"""Stages as DVC would run them, each in a process of its own: how long, and in how much memory."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.common.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
LINE = (
    *("check", "download", "prepare", "split", "embed_image", "embed_text", "train"),
    *("captions", "adversarial", "evaluate", "report"),
)
"""The stages of dvc.yaml in an order in which they can run."""
RESOLVED = (
    "import json; from pipeline.repository.line import read_line; print(json.dumps(read_line()))"
)
"""In a process of its own, as DVC is not small (`run_stage`)."""


@dataclass(frozen=True)
class StageRun:
    """One stage as it ran."""

    name: str
    seconds: float
    """Wall time, imports included."""
    peak_mb: float
    """Peak resident memory of its process, in MB."""
    said: str
    """Last line that it printed."""


def commands() -> dict[str, list[str]]:
    """The command of every stage, word by word, as dvc.yaml has it."""
    stages = json.loads(subprocess.check_output([sys.executable, "-c", RESOLVED], cwd=ROOT))
    return {name: shlex.split(stages[name]["cmd"]) for name in LINE}


def run_stage(name: str, command: list[str], folder: Path, home: Path) -> StageRun:
    """Run a command to its end and measure its process.

    A peak counts from what this process held when it started the command. So whoever calls this
    must stay small: import torch, pyarrow and the like only after the last run, if at all.

    Args:
        name: for messages; what the command prints goes to `{name}.out` in `folder`.
        command: its words; the first is `python` and becomes the interpreter that runs this.
        folder: where it runs, on this repository's code.
        home: the encode cache that it uses, `STORYCACHE_HOME`.

    Raises:
        UserError: if the command fails; the end of what it printed is on stderr.
    """
    print(f"{name}: {shlex.join(command)}", flush=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "STORYCACHE_HOME": str(home),
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
