"""A copy of the repository to run DVC in, with a DVC cache and an encode cache of its own."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ruamel.yaml import YAML

from benchmarks.stage_runs import ROOT
from pipeline.common.errors import UserError


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

    def start(self, output: IO[str], *command: str) -> subprocess.Popen[str]:
        """Start a command in the copy as the leader of a process group; it prints to `output`."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

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


def make_clone(folder: Path, stories: int | None = None) -> Clone:
    """Copy what git tracks, as the working tree has it, and commit it there.

    Args:
        folder: an empty folder; the copy becomes `clone` in it, its caches `home`.
        stories: in the sample; None leaves params.yaml as it is.
    """
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
