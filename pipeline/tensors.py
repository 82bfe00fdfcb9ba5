"""Safetensors files that carry a checksum of all that they hold."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.errors import UserError
from pipeline.files import reading, replacing

CHECKSUM = "sha256"
"""Its key in the header."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors, on whatever device, and text in one atomic step.

    Raises:
        CannotWriteError: as of `pipeline.files.replacing`.
    """
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    size = sum(tensor.nbytes for tensor in held.values())
    with replacing(path, size) as partial:
        save_file(held, partial, metadata={**header, CHECKSUM: _digest(held, header)})


def load_tensors(path: Path, remedy: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_tensors` wrote: tensors on the CPU, and the text.

    Args:
        remedy: what is to be done, or follows, where that fails.

    Raises:
        UserError: the file is missing, cannot be read, or is not what was written.
    """
    with reading(path, remedy), path.open("rb"):
        pass  # safetensors calls a file missing that it may not read
    try:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({str(error)[:100]}); {remedy}") from error
    if header.pop(CHECKSUM, None) != _digest(tensors, header):
        raise UserError(f"{path} does not match its checksum; {remedy}")
    return tensors, header


def _digest(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
