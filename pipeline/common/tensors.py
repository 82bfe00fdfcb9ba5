"""Safetensors files that carry a checksum of all that they hold."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.common.errors import reason
from pipeline.common.files import UnreadableError, reading, replacing

HEADER, CHECKSUM = "header", "sha256"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Any) -> None:
    """Write tensors, on whatever device, and a header that JSON can say, in one atomic step.

    Equal content gives equal bytes.

    Raises:
        CannotWriteError: as of `pipeline.common.files.replacing`.
    """
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    size = sum(tensor.nbytes for tensor in held.values())
    text = json.dumps(header)
    # In one entry: safetensors writes several in an order of chance.
    metadata = {HEADER: json.dumps({CHECKSUM: _digest(held, text), HEADER: text})}
    with replacing(path, size) as partial:
        save_file(held, partial, metadata=metadata)


def load_tensors(path: Path, remedy: str) -> tuple[dict[str, Tensor], Any]:
    """Read what `save_tensors` wrote: tensors on the CPU, and the header.

    Args:
        remedy: what is to be done, or follows, where that fails.

    Raises:
        UserError: the file is missing, cannot be read, or is not what was written.
    """
    with reading(path, remedy, if_damaged=remedy):
        with path.open("rb"):
            pass  # safetensors calls a file missing that it may not read
        try:
            with safe_open(path, framework="pt") as file:
                metadata = json.loads((file.metadata() or {})[HEADER])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            digest, text = metadata[CHECKSUM], metadata[HEADER]
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise UnreadableError(reason(error)) from error
        if not isinstance(text, str) or digest != _digest(tensors, text):
            raise UnreadableError("it does not match its checksum")
    return tensors, json.loads(text)


def _digest(tensors: Mapping[str, Tensor], header: str) -> str:
    digest = hashlib.sha256(header.encode("utf-8", "surrogatepass"))
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
