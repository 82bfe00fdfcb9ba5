"""The model folder: what a trained generator is on disk.

`config.json` (shape, and the decoder by name), `model.safetensors` (trained weights alone, sorted
by name, the same bytes for the same weights) and `params.json` (the parameters that made it).
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pipeline.errors import UserError
from pipeline.model.config import GeneratorConfig
from pipeline.model.generator import StoryGenerator
from pipeline.model.layout import (
    CONFIG_FILE,
    PARAMS_FILE,
    WEIGHTS_FILE,
    check_complete,
    replacing_folder,
)


def save_generator(folder: Path, generator: StoryGenerator, params: dict[str, Any]) -> None:
    """Write the whole folder beside its place, then put it there; an older one is replaced."""
    with replacing_folder(folder) as partial:
        generator.config.write(partial / CONFIG_FILE)
        weights = {n: t.contiguous() for n, t in generator.trainable_state().items()}
        save_file(weights, partial / WEIGHTS_FILE, metadata={"format": "pt"})
        (partial / PARAMS_FILE).write_text(json.dumps(params, indent=2) + "\n", encoding="utf-8")


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
    check_complete(folder)
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
