"""Processes of Python, as users and DVC start them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.params.recipes import merged
from pipeline.params.yaml import read_yaml

ROOT = Path(__file__).resolve().parents[1]
LIMITED = """
import resource, runpy, sys

stage, most = sys.argv[1], int(sys.argv[2])
sys.argv = [stage, *sys.argv[3:]]
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
runpy.run_module(f"stages.{stage}", run_name="__main__")
"""
"""A stage that can write no file of more bytes: what a full disk is to it."""


def python(
    *arguments: str, cwd: Path | None = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run `python ARGUMENTS` in `cwd`, with the repository on its path."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )


def write_params(folder: Path, **groups: dict[str, Any]) -> None:
    """Write the shipped params.yaml into `folder`, with settings of these groups changed."""
    params = merged(read_yaml(ROOT / "params.yaml"), groups)
    folder.mkdir(exist_ok=True)
    YAML(typ="safe", pure=True).dump(params, folder / "params.yaml")
