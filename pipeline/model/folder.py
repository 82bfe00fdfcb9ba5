"""The model folder: what a trained generator is on disk.

`config.json` (shape, and the decoder by name), `encoder.json` (the CLIP by name),
`model.safetensors` (trained weights alone, sorted by name, the same bytes for the same weights),
`params.json` (the parameters that made it) and `SHA256SUMS`, by which they are checked before they
are used.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pipeline.common.checksums import replacing_folder
from pipeline.common.errors import UserError
from pipeline.common.files import replacing, write_json
from pipeline.model.config import Encoder, GeneratorConfig
from pipeline.model.generator import StoryGenerator
from pipeline.model.layout import (
    CONFIG_FILE,
    PARAMS_FILE,
    WEIGHTS_FILE,
    check_complete,
    remedy,
)


def save_generator(
    folder: Path, generator: StoryGenerator, params: dict[str, Any], encoder: Encoder
) -> None:
    """Write the whole folder beside its place, then put it there; an older one is replaced.

    Raises:
        CannotWriteError: the disk is full, or does not let this user write.
    """
    with replacing_folder(folder) as partial:
        write_generator(partial, generator, params, encoder)


def write_generator(
    folder: Path, generator: StoryGenerator, params: dict[str, Any], encoder: Encoder
) -> None:
    """Write the files of a generator into `folder`, which `replacing_folder` gives."""
    encoder.write(folder)
    generator.config.write(folder / CONFIG_FILE)
    weights = {n: t.contiguous() for n, t in generator.trainable_state().items()}
    size = sum(tensor.nbytes for tensor in weights.values())
    with replacing(folder / WEIGHTS_FILE, size) as partial:
        save_file(weights, partial, metadata={"format": "pt"})
    write_json(folder / PARAMS_FILE, params)


def load_generator(
    folder: Path,
    device: torch.device,
    dims: tuple[int, int] | None = None,
    decoder: str | None = None,
) -> StoryGenerator:
    """A trained generator in eval mode.

    Args:
        folder: what `save_generator` wrote.
        dims: widths of the image and text features it is to read, if they are to be checked.
        decoder: where its language model lies now, if not where it was when this was trained.

    Raises UserError when a file is missing or not what was written, the decoder cannot be found,
    or `dims` are not the widths that it was trained on.
    """
    check_complete(folder)
    config = GeneratorConfig.read(folder / CONFIG_FILE)
    trained_on = (config.dim_image, config.dim_text)
    if dims is not None and tuple(dims) != trained_on:
        raise UserError(
            f"{folder} was trained on image and text features of widths {trained_on}, but the "
            f"features given have {tuple(dims)}: {remedy(folder)} to train on them"
        )
    try:
        state = load_file(folder / WEIGHTS_FILE)
    except SafetensorError as error:
        raise UserError(
            f"{folder / WEIGHTS_FILE} is broken ({error}): delete {folder} and {remedy(folder)}"
        ) from error
    if decoder is not None:
        config = config.at(decoder)
    generator = StoryGenerator.from_config(config)
    generator.load_trainable(state)
    return generator.to(device).eval()
