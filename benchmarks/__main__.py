"""`python -m benchmarks`: the full-size check, as a table and in benchmarks/results.json."""

import argparse
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.fullsize import run_fullsize
from pipeline.errors import exit_cleanly
from pipeline.files import write_json

RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    """Run the check and report it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stories", type=int, default=30)
    parser.add_argument("--layers", type=int, default=12, help="12 is full size")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fullsize-") as folder:
        found = run_fullsize(Path(folder), arguments.stories, arguments.layers)
    _print(found)
    write_json(arguments.results, {"machine": _machine(), **found})


def _print(found: dict[str, Any]) -> None:
    print(f"\n{'stage':<14}{'seconds':>9}{'peak MB':>9}")
    for run in found["stages"]:
        print(f"{run['name']:<14}{run['seconds']:>9.1f}{run['peak_mb']:>9.0f}")
    print()
    for name, rate in found["rates"].items():
        print(f"{name:<28}{rate:>9.2f}")
    print(f"\n{'epoch':<14}{'s per window':>14}{'against supervised':>20}")
    for name, seconds in found["epochs"].items():
        ratio = seconds / found["epochs"]["supervised"]
        print(f"{name:<14}{seconds:>14.2f}{ratio:>20.2f}")


def _machine() -> dict[str, Any]:
    import torch

    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


if __name__ == "__main__":
    exit_cleanly(main)
