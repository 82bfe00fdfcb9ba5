"""`python -m benchmarks.experiments`: what DVC and the caches spare, on the embedded sample.

A copy of the repository with a DVC cache and an encode cache of its own runs from nothing, then
again with nothing to do, then as an experiment with another loss weight, which must not embed
anything. At last the embed stages run by themselves with all their rows in the encode cache.
"""

import argparse
import re
import statistics
import tempfile
from pathlib import Path

from benchmarks.clone import Clone, make_clone
from benchmarks.ratio import Ratio, write_ratios
from benchmarks.stage_runs import commands, run_stage
from pipeline.common.errors import UserError, exit_cleanly

ROUNDS = 3
EMBED = ("embed_image", "embed_text")


def run_experiments(folder: Path, stories: int | None = None) -> list[Ratio]:
    """Run the line, nothing, an experiment and the idle stages, and compare them.

    Args:
        folder: an empty folder.
        stories: in the sample; None leaves params.yaml as it is.

    Raises:
        UserError: if a command fails; the end of what it printed is on stderr.
    """
    clone = make_clone(folder, stories)
    first, _ = clone.dvc("repro")
    clone.commit()
    again = [clone.dvc("repro")[0] for _ in range(ROUNDS)]
    experiment, printed = clone.dvc("exp", "run", "-S", "loss.alpha=0.25")
    ran = re.findall(r"^Running stage '(\w+)'", printed, flags=re.MULTILINE)
    skipped = re.findall(r"^Stage '(\w+)' didn't change, skipping", printed, flags=re.MULTILINE)
    print(f"ran {', '.join(ran)}; skipped {', '.join(skipped)}")
    idle = {stage: _idle_seconds(clone, stage) for stage in EMBED}
    return [
        Ratio(
            "dvc exp run -S loss.alpha against the first dvc repro",
            first / experiment,
            goal=3,
            figures={
                **{"first repro, s": first, "experiment, s": experiment},
                **{"stages run": len(ran), "stages skipped": len(skipped)},
            },
        ),
        Ratio(
            "embed stages run by it",
            len(set(EMBED) - set(skipped)),
            goal=0,
            at_least=False,
            unit="",
            figures={f"runs of {stage}": ran.count(stage) for stage in EMBED},
        ),
        Ratio(
            "no-op dvc repro",
            statistics.median(again),
            goal=2,
            at_least=False,
            unit="s",
            figures=_rounds("", again),
        ),
        Ratio(
            "a stage that finds nothing to do",
            max(statistics.median(seconds) for seconds in idle.values()),
            goal=3,
            at_least=False,
            unit="s",
            figures={k: v for stage in EMBED for k, v in _rounds(f"{stage} ", idle[stage]).items()},
        ),
    ]


def _idle_seconds(clone: Clone, stage: str) -> list[float]:
    """Run an embed stage by itself, some rounds; every row is in the encode cache by now.

    Raises:
        UserError: if it encodes something all the same: then this would measure something else.
    """
    command = commands()[stage]
    runs = [run_stage(stage, command, clone.root, clone.encode_cache) for _ in range(ROUNDS)]
    for run in runs:
        if ", 0 encoded" not in run.said:
            raise UserError(f"stage {stage} should have nothing to do, but said: {run.said}")
    return [run.seconds for run in runs]


def _rounds(name: str, seconds: list[float]) -> dict[str, float]:
    return {f"{name}round {i}, s": value for i, value in enumerate(seconds, start=1)}


def main() -> None:
    """Measure, print and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stories", type=int, help="in the sample, for trying this out")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="experiments-") as folder:
        ratios = run_experiments(Path(folder), arguments.stories)
    print("", *ratios, sep="\n")
    write_ratios(arguments.out, ratios)


if __name__ == "__main__":
    exit_cleanly(main)
