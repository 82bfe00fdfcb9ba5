"""The files of a model folder, and how one is put in its place whole. Imports no torch."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import UserError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
PARAMS_FILE = "params.json"


def check_complete(folder: Path) -> None:
    """Raise a UserError that names the file which a model folder lacks, if any."""
    for name in (CONFIG_FILE, WEIGHTS_FILE, PARAMS_FILE):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing: run the train stage (dvc repro train)")


def copy_model(source: Path, folder: Path) -> None:
    """Put a copy of the model folder `source` at `folder`; an older one is replaced.

    Raises UserError when there is no model at `source`.
    """
    check_complete(source)
    with replacing_folder(folder) as partial:
        for name in (CONFIG_FILE, WEIGHTS_FILE, PARAMS_FILE):
            shutil.copyfile(source / name, partial / name)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """An empty sibling of `folder` to write to, put in its place at clean exit."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
