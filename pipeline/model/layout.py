"""The files of a model folder, and what makes one anew. Imports no torch."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.common.checksums import check_folder, replacing_folder
from pipeline.common.errors import UserError
from pipeline.common.files import read_json, write_json

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
PARAMS_FILE = "params.json"
ENCODER_FILE = "encoder.json"
FILES = (CONFIG_FILE, WEIGHTS_FILE, PARAMS_FILE, ENCODER_FILE)
DISCRIMINATOR_FILE = "discriminator.safetensors"
"""In the folder of a model that was trained against one."""

_STAGES = {"baseline": " train", "final": " adversarial"}
"""Name of a folder -> the stage that writes it."""


def remedy(folder: Path) -> str:
    """What makes a model folder anew."""
    return f"run dvc repro{_STAGES.get(folder.name, '')}"


def check_complete(folder: Path) -> None:
    """See that a model folder holds what was written.

    Raises:
        UserError: names the file that is missing, unreadable or damaged.
    """
    further = [name for name in (DISCRIMINATOR_FILE,) if (folder / name).exists()]
    check_folder(folder, [*FILES, *further], remedy(folder))


def copy_model(source: Path, folder: Path, params: Mapping[str, Any]) -> None:
    """Put a copy of the model folder `source` at `folder`, with further groups of parameters; an
    older one is replaced.

    Raises:
        UserError: there is no whole model at `source`, or the copy cannot be written.
    """
    check_complete(source)
    with replacing_folder(folder) as partial:
        for name in FILES:
            shutil.copyfile(source / name, partial / name)
        write_json(partial / PARAMS_FILE, {**read_params(source), **params})


def read_params(folder: Path) -> dict[str, Any]:
    """The parameters that made the model, by group.

    Raises:
        UserError: they are missing or no such parameters.
    """
    path = folder / PARAMS_FILE
    params = read_json(path, remedy(folder))
    if not isinstance(params, dict):
        raise UserError(f"{path} does not hold parameters by group; {remedy(folder)}")
    return params
