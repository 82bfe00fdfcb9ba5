"""`python -m benchmarks.experiments`: what DVC and the caches spare, on the embedded sample.

A copy of the repository with a DVC cache and an encode cache of its own runs from nothing, then
again with nothing to do, then as an experiment with another loss weight, which must not embed
anything. At last the embed stages run by themselves with all their rows in the encode cache.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.ratio import Ratio, write_ratios
from benchmarks.stage_runs import ROOT, commands, run_stage
from pipeline.errors import UserError, exit_cleanly

ROUNDS = 3
EMBED = ("embed_image", "embed_text")


@dataclass(frozen=True)
class Clone:
    """A copy of the repository that sees nothing of the user's settings and caches."""

    root: Path
    home: Path

    @property
    def encode_cache(self) -> Path:
        """`STORYCACHE_HOME` of all that runs here."""
        return self.home / "storycache"

    def run(self, *command: str) -> tuple[float, str]:
        """Run a command in the copy.

        Returns:
            Seconds of wall time, and what it printed.

        Raises:
            UserError: if it fails; the end of what it printed is on stderr.
        """
        print(" ".join(command), flush=True)
        started = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        seconds = time.perf_counter() - started
        if done.returncode:
            print(done.stdout[-4000:], file=sys.stderr)
            raise UserError(f"{' '.join(command)} failed, as printed above")
        return seconds, done.stdout

    def dvc(self, *arguments: str) -> tuple[float, str]:
        """Run DVC; see `run`."""
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def commit(self) -> None:
        """Commit the working tree as it is."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "state")

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "DVC_"))}
        # The commands of dvc.yaml start with `python`: the one that runs this.
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return kept | {
            "PATH": programs,
            "HOME": str(self.home),
            "STORYCACHE_HOME": str(self.encode_cache),
            "DVC_SITE_CACHE_DIR": str(self.home / "dvc"),
            "DVC_NO_ANALYTICS": "1",
            "HF_HUB_OFFLINE": "1",
        }


def run_experiments(folder: Path, stories: int | None = None) -> list[Ratio]:
    """Run the line, nothing, an experiment and the idle stages, and compare them.

    Args:
        folder: an empty folder.
        stories: in the sample; None leaves params.yaml as it is.

    Raises:
        UserError: if a command fails; the end of what it printed is on stderr.
    """
    clone = _clone(folder, stories)
    first, _ = clone.dvc("repro")
    clone.commit()
    again = [clone.dvc("repro")[0] for _ in range(ROUNDS)]
    experiment, printed = clone.dvc("exp", "run", "-S", "loss.alpha=0.25")
    ran = re.findall(r"^Running stage '(\w+)'", printed, flags=re.MULTILINE)
    skipped = re.findall(r"^Stage '(\w+)' didn't change, skipping", printed, flags=re.MULTILINE)
    print(f"ran {', '.join(ran)}; skipped {', '.join(skipped)}")
    command = commands()
    idle = {
        stage: [
            run_stage(stage, command[stage], clone.root, clone.encode_cache).seconds
            for _ in range(ROUNDS)
        ]
        for stage in EMBED
    }
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


def _rounds(name: str, seconds: list[float]) -> dict[str, float]:
    return {f"{name}round {i}, s": value for i, value in enumerate(seconds, start=1)}


def _clone(folder: Path, stories: int | None) -> Clone:
    """Copy what git tracks, as the working tree has it, and commit it."""
    clone = Clone(folder / "clone", folder / "home")
    clone.home.mkdir()
    tracked = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():  # one may be deleted and not yet committed
            target = clone.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    if stories is not None:
        yaml = YAML()
        params = yaml.load(clone.root / "params.yaml")
        params["dataset"]["sample"]["stories"] = stories
        yaml.dump(params, clone.root / "params.yaml")
    clone.run("git", "init", "--quiet", "--initial-branch", "main")
    # In the copy's own settings, as DVC too commits, when it runs an experiment.
    clone.run("git", "config", "user.name", "a benchmark")
    clone.run("git", "config", "user.email", "benchmark@localhost")
    clone.commit()
    return clone


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
