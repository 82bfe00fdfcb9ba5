"""`python -m benchmarks`: every speed claim as a ratio against a named baseline, in one table.

First the line itself at full size; then, in the folder that it leaves, the parts that time single
things against their baselines, and the two that run stages or DVC on the sample. Each part is a
module of its own name and a process of its own. The table goes to benchmarks/results.json too.
"""

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.fullsize import run_fullsize
from benchmarks.ratio import Ratio
from benchmarks.stage_runs import run_stage
from pipeline.common.errors import exit_cleanly
from pipeline.common.files import read_json, write_json

RESULTS = Path(__file__).with_name("results.json")
PARTS = (
    *("embedding", "training", "sharing", "generation", "adversarial"),
    *("scaling", "experiments"),
)


def main() -> None:
    """Run everything, or some parts, and report it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--stories", type=int, default=30, help="of the full-size line")
    parser.add_argument("--layers", type=int, default=12, help="12 is full size")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    started = time.perf_counter()
    ratios: list[Ratio] = []
    with tempfile.TemporaryDirectory(prefix="fullsize-") as name:
        folder = Path(name)
        line = run_fullsize(folder, arguments.stories, arguments.layers)
        for part in arguments.parts:
            command = ["python", "-m", f"benchmarks.{part}", "--out", f"{part}.json"]
            run_stage(part, command, folder, folder / "home")
            ratios += map(Ratio.from_json, read_json(folder / f"{part}.json"))
    minutes = (time.perf_counter() - started) / 60
    _print(line, ratios, minutes)
    found = {"minutes": minutes, "ratios": [ratio.as_json() for ratio in ratios], **line}
    write_json(arguments.results, {"machine": _machine(), **found})


def _print(line: dict[str, Any], ratios: list[Ratio], minutes: float) -> None:
    print(f"\n{'stage at full size':<24}{'seconds':>9}{'peak MB':>9}")
    for run in line["stages"]:
        print(f"{run['name']:<24}{run['seconds']:>9.1f}{run['peak_mb']:>9.0f}")
    print()
    for name, rate in line["rates"].items():
        print(f"{name:<24}{rate:>9.2f}")
    print(f"\n{'':<60}{'measured':>10}{'goal':>12}")
    for ratio in ratios:
        goal = f"{'>=' if ratio.at_least else '<='} {ratio.goal:g}{ratio.unit}"
        measured = f"{ratio.value:.3g}{ratio.unit}"
        print(f"{ratio.what:<60}{measured:>10}{goal:>12}{'' if ratio.met else '   not met'}")
    print(f"\n{minutes:.0f} minutes")


def _machine() -> dict[str, Any]:
    import torch

    from pipeline.compute.device import resolve_precision

    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "precision": resolve_precision("auto"),
    }


def _processor() -> str:
    """Its name as Linux knows it; elsewhere as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    exit_cleanly(main)
