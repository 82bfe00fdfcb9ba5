"""dvc.yaml as DVC reads it: every `${...}` filled in, every `foreach` and `matrix` written out."""

import os
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError, reason
from pipeline.params.yaml import read_yaml


def read_line(root: Path = Path()) -> dict[str, dict[str, Any]]:
    """Stage -> its `cmd`, `deps`, `outs` and so on, in the order of the file.

    Raises:
        UserError: there is no dvc.yaml in `root`, or DVC cannot make sense of it.
    """
    from dvc.exceptions import DvcException
    from dvc.parsing import DataResolver
    from dvc.repo import Repo

    path, folder = root / "dvc.yaml", os.path.abspath(root)
    content = read_yaml(path)
    try:
        with Repo(folder, uninitialized=True) as repo:
            resolved = DataResolver(repo, folder, content).resolve()
    except (DvcException, AttributeError, TypeError) as error:  # the latter for what is no mapping
        raise UserError(f"{path}: DVC cannot read it ({reason(error)})") from None
    stages: dict[str, dict[str, Any]] = resolved["stages"]
    return stages


def paths_of(stage: dict[str, Any], *sections: str) -> list[str]:
    """Paths in the given sections of a stage, options such as `cache: false` taken off."""
    entries = [entry for section in sections for entry in stage.get(section, [])]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
