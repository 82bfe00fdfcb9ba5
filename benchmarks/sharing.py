"""Two trainings at a time on the same cores, as queued experiments run, against one alone.

Each is a process of its own that takes steps from cached features at full size. The baseline is
the same with what PyTorch's libraries do by themselves, see `pipeline/common/settings.py`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.ratio import Ratio, write_ratios
from benchmarks.stage_runs import ROOT
from pipeline.common.errors import UserError

LIBRARIES_OWN = {
    "GOMP_SPINCOUNT": "300000",
    "LRU_CACHE_CAPACITY": "1024",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "1024",
}
WINDOWS = 2
"""Of a step: enough that a step is long beside what starts and ends it."""
STEPS = 8
WARM_UP = 2


def take_steps() -> float:
    """Train in the working directory, the folder of a full-size check: seconds of a step."""
    from benchmarks.workbench import Workbench  # here alone: who starts the trainings stays small

    bench = Workbench.open()
    batches = list(bench.data.batches(WINDOWS))
    step = bench.trainer()
    seconds = []
    for n in range(WARM_UP + STEPS):
        started = time.perf_counter()
        step(batches[n % len(batches)])
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[WARM_UP:])


def _at_a_time(trainings: int, settings: dict[str, str]) -> float:
    """Seconds of a step where so many trainings run at a time, the slowest one's."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sharing", "--one"],
            env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(trainings)
    ]
    said = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise UserError("a training failed, as printed above")
    return max(float(json.loads(text.splitlines()[-1])) for text in said)


def main() -> None:
    """Measure and write the ratios; or, with --one, be one of the trainings."""
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, help="JSON to write")
    what.add_argument("--one", action="store_true", help="print the seconds of a step")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(take_steps()))
        return
    alone, alone_plain = _at_a_time(1, {}), _at_a_time(1, LIBRARIES_OWN)
    two, two_plain = _at_a_time(2, {}), _at_a_time(2, LIBRARIES_OWN)
    figures = {
        **{"alone, s/step": alone, "two at a time, s/step": two},
        **{"libraries' own, alone, s/step": alone_plain},
        **{"libraries' own, two at a time, s/step": two_plain},
    }
    shared = Ratio(
        "a step of one of two trainings at a time against alone",
        two / alone,
        goal=2.5,
        at_least=False,
        figures=figures,
    )
    lone = Ratio(
        "a step alone, libraries' own settings against ours",
        alone_plain / alone,
        goal=0.95,
        figures=figures,
    )
    write_ratios(arguments.out, [shared, lone])


if __name__ == "__main__":
    main()
