"""Runs a stage as DVC does: in a folder of its own with a `params.yaml`, as a process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]

RunStage = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def set_params(tmp_path: Path) -> Callable[..., None]:
    """Write the shipped params.yaml to the test's folder with some of its keys changed."""

    def write(**changes: Any) -> None:
        yaml = YAML()
        params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        for dotted, value in changes.items():
            *groups, key = dotted.split("__")
            group = params
            for name in groups:
                group = group[name]
            group[key] = value
        with (tmp_path / "params.yaml").open("w", encoding="utf-8") as file:
            yaml.dump(params, file)

    return write


@pytest.fixture
def run_stage(tmp_path: Path) -> RunStage:
    """Run `python -m stages.NAME ARGUMENTS` in the test's folder."""

    def run(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", f"stages.{name}", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            capture_output=True,
            text=True,
        )

    return run
