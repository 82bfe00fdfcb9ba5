"""The model folder: what a trained generator is on disk.

`config.json` (shape, and the decoder by name), `model.safetensors` (trained weights alone, sorted
by name, the same bytes for the same weights) and `params.json` (the parameters that made it).
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pipeline.errors import UserError
from pipeline.model.config import GeneratorConfig
from pipeline.model.generator import StoryGenerator

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
PARAMS_FILE = "params.json"


def save_generator(folder: Path, generator: StoryGenerator, params: dict[str, Any]) -> None:
    """Write the whole folder beside its place, then put it there; an older one is replaced."""
    with _replacing_folder(folder) as partial:
        generator.config.write(partial / CONFIG_FILE)
        weights = {n: t.contiguous() for n, t in generator.trainable_state().items()}
        save_file(weights, partial / WEIGHTS_FILE, metadata={"format": "pt"})
        (partial / PARAMS_FILE).write_text(json.dumps(params, indent=2) + "\n", encoding="utf-8")


def copy_generator(source: Path, folder: Path) -> None:
    """Put a copy of the model folder `source` at `folder`; an older one is replaced.

    Raises UserError when there is no model at `source`.
    """
    _check(source)
    with _replacing_folder(folder) as partial:
        for name in (CONFIG_FILE, WEIGHTS_FILE, PARAMS_FILE):
            shutil.copyfile(source / name, partial / name)


def load_generator(
    folder: Path, device: torch.device, dims: tuple[int, int] | None = None
) -> StoryGenerator:
    """A trained generator in eval mode.

    Args:
        folder: what `save_generator` wrote.
        dims: widths of the image and text features it is to read, if they are to be checked.

    Raises UserError when a file is missing or broken, the decoder cannot be found, or `dims`
    are not the widths that it was trained on.
    """
    _check(folder)
    config = GeneratorConfig.read(folder / CONFIG_FILE)
    trained_on = (config.dim_image, config.dim_text)
    if dims is not None and tuple(dims) != trained_on:
        raise UserError(
            f"{folder} was trained on image and text features of widths {trained_on}, but the "
            f"features given have {tuple(dims)}: train again on them (dvc repro train)"
        )
    try:
        state = load_file(folder / WEIGHTS_FILE)
    except SafetensorError as error:
        raise UserError(
            f"{folder / WEIGHTS_FILE} is broken ({error}): delete {folder} and run dvc repro train"
        ) from error
    generator = StoryGenerator.from_config(config)
    generator.load_trainable(state)
    return generator.to(device).eval()


def _check(folder: Path) -> None:
    for name in (CONFIG_FILE, WEIGHTS_FILE, PARAMS_FILE):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing: run the train stage (dvc repro train)")


@contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
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
