"""A small line in a clone of its own, driven by the real `dvc`.

The clone holds the working tree's files, with the tiny random backbones in the place of the
sample's and a small world in params.yaml. It is built once; every test works on its own copy.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]

SMALL: dict[str, dict[str, Any]] = {
    "dataset": {"sample": {"stories": 60, "seed": 7}},
    "clip": {"precision": "float32", "batch_size": 4},
    "fusion": {"d_model": 32, "layers": 1, "heads": 2},
    "decoder": {"n_prefix": 2},
    "prompt": {"words_per_caption": 5, "max_target_tokens": 24, "max_sequence_tokens": 192},
    "train": {"epochs": 1, "batch_size": 8, "warmup_steps": 2, "checkpoint_every_steps": 2},
    "generate": {"max_new_tokens": 6},
    "gan": {
        "epochs": 1,
        "text_every_steps": 1,
        "cache": {
            "subset_stories": 8,
            "samples_per_story": 2,
            "refresh_epochs": 0,
            "feature_matching": 0.0,
        },
    },
}


@dataclass(frozen=True)
class Line:
    """A clone with its own encode cache; every command runs in it and sees nothing of the user."""

    root: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "DVC_", "PYTEST"))}
        return kept | {
            "PATH": programs,
            "HOME": str(self.home),
            "STORYCACHE_HOME": str(self.home / "storycache"),
            "DVC_SITE_CACHE_DIR": str(self.home / "dvc"),
            "OMP_NUM_THREADS": "1",
        }

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command as the leader of its own process group."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, fails: bool = False) -> str:
        """Run a command to its end and return what it printed; it must fail or succeed as told."""
        process = self.start(*command)
        output, _ = process.communicate()
        assert (process.returncode != 0) == fails, f"{' '.join(command)}:\n{output}"
        return output

    def dvc(self, *arguments: str, fails: bool = False) -> str:
        return self.run("dvc", *arguments, fails=fails)

    @staticmethod
    def stages_run(output: str) -> list[str]:
        """Stages that DVC really ran, in order; one restored from a cache is not among them."""
        return re.findall(r"^Running stage '(\w+)'", output, flags=re.MULTILINE)

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "state")

    def edit(self, file: str, change: Callable[[str], str]) -> None:
        path = self.root / file
        before = path.read_text()
        after = change(before)
        assert after != before, f"{file}: nothing was edited"
        path.write_text(after)

    def contents(self, *folders: str) -> dict[str, bytes]:
        """Every file under the given folders, by its path from the root."""
        files = [path for folder in folders for path in (self.root / folder).rglob("*")]
        found = {str(p.relative_to(self.root)): p.read_bytes() for p in files if p.is_file()}
        assert found, f"nothing in {folders}"
        return found


@pytest.fixture(scope="session")
def unbuilt_line(
    tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path, tiny_gpt2: Path, tiny_judge: Path
) -> Line:
    """The clone before its first `dvc repro`; a test must not change it."""
    folder = tmp_path_factory.mktemp("line")
    line = Line(folder / "clone", folder / "home")
    line.home.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        made_here = name.startswith(("data/", "tests/")) or name in ("dvc.lock", "metrics.json")
        if (ROOT / name).is_file() and not made_here:
            target = line.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    shutil.copytree(tiny_clip, line.root / "data/sample/clip")
    shutil.copytree(tiny_gpt2, line.root / "data/sample/gpt2")
    shutil.copytree(tiny_judge, line.root / "data/sample/judge")
    _set(line.root / "params.yaml", SMALL)
    line.run("git", "init", "--quiet", "--initial-branch", "main")
    line.run("git", "config", "user.name", "a test")
    line.run("git", "config", "user.email", "test@localhost")
    line.commit()
    return line


@pytest.fixture(scope="session")
def first_repro(unbuilt_line: Line, tmp_path_factory: pytest.TempPathFactory) -> tuple[Line, str]:
    """A built and committed clone, not to be changed, and what `dvc repro` printed."""
    line = _copy(unbuilt_line, tmp_path_factory.mktemp("built"))
    output = line.dvc("repro")
    line.commit()
    return line, output


@pytest.fixture
def line(first_repro: tuple[Line, str], tmp_path: Path) -> Iterator[Line]:
    """A built clone of the test's own."""
    copy = _copy(first_repro[0], tmp_path)
    yield copy
    shutil.rmtree(copy.root.parent, ignore_errors=True)


@pytest.fixture
def fresh_line(unbuilt_line: Line, tmp_path: Path) -> Iterator[Line]:
    """A clone of the test's own in which nothing was ever run or encoded."""
    copy = _copy(unbuilt_line, tmp_path)
    yield copy
    shutil.rmtree(copy.root.parent, ignore_errors=True)


def _copy(line: Line, folder: Path) -> Line:
    copy = Line(folder / "line" / "clone", folder / "line" / "home")
    shutil.copytree(line.root, copy.root, symlinks=True)
    shutil.copytree(line.home, copy.home, symlinks=True)
    return copy


def _set(path: Path, changes: dict[str, dict[str, Any]]) -> None:
    yaml = YAML()
    params = yaml.load(path)
    for group, values in changes.items():
        params[group].update(values)
    yaml.dump(params, path)
