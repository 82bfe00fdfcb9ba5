"""Files of weights: which a folder has, whether they are whole, and the bytes of each tensor.

Two formats of Hugging Face's: safetensors, read here without torch, and PyTorch's own, which torch
reads with `weights_only`, so that nothing in it is ever run.
"""

import json
import mmap
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

SAFETENSORS = "model.safetensors"
TORCH = "pytorch_model.bin"
LFS_POINTER = b"version https://git-lfs"
LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files of torch.save began before they were zip archives."""
SAFETENSORS_DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
}
"""Torch's names of what a weight may be made of -> those of safetensors."""


class WeightsError(Exception):
    """What is wrong with a file of weights, and what to do, as the rest of a sentence."""


class StoredTensor(NamedTuple):
    """A tensor as it is stored."""

    name: str
    description: str
    """Dtype and shape, in the words of safetensors: `F32 [512, 768]`."""
    data: memoryview


def weight_files(folder: Path, single: str) -> list[Path]:
    """The files of one format, `SAFETENSORS` or `TORCH`; none if the folder lacks it.

    As Transformers does, one file is taken before shards. The shards that an index names are
    listed whether or not they are there.

    Raises:
        WeightsError: if the index is not one.
    """
    if (folder / single).is_file():
        return [folder / single]
    index = folder / f"{single}.index.json"
    if not index.is_file():
        return []
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        names = sorted(name for name in shards if Path(name).name == name)
    except (ValueError, KeyError, TypeError, AttributeError):
        names, shards = [], {""}
    if not names or len(names) != len(shards):
        raise WeightsError(f"{index.name} is not an index of weights; fetch it again")
    return [folder / name for name in names]


def check_weights(files: list[Path]) -> None:
    """Refuse files that are missing, empty, cut short or something else, from their ends alone.

    Raises:
        WeightsError: for the first such file.
    """
    for file in files:
        if not file.is_file():
            raise WeightsError(f"its index names {file.name}, which is missing; fetch it too")
        with file.open("rb") as stream:
            start = stream.read(len(LFS_POINTER))
        if not start:
            raise WeightsError(f"{file.name} is empty; fetch it again")
        if start == LFS_POINTER:
            raise WeightsError(
                f"{file.name} is a pointer of Git LFS in place of the weights; run git lfs pull"
            )
        if file.suffix == ".safetensors":
            _header(file)
        elif not zipfile.is_zipfile(file) and not start.startswith(LEGACY_TORCH):
            raise WeightsError(f"{file.name} is broken or cut short; fetch it again")


def stored_tensors(files: list[Path], prefixes: tuple[str, ...] = ("",)) -> Iterator[StoredTensor]:
    """The tensors whose names begin with one of `prefixes`, of all files, sorted by name.

    The same tensors give the same in either format.

    Raises:
        WeightsError: if a file cannot be read.
    """
    found: list[StoredTensor] = []
    for file in files:
        read = _safetensors if file.suffix == ".safetensors" else _torch_tensors
        found += (tensor for tensor in read(file) if tensor.name.startswith(prefixes))
    return iter(sorted(found, key=lambda tensor: tensor.name))


def _safetensors(file: Path) -> Iterator[StoredTensor]:
    """Reads the layout itself, because the library's NumPy door does not open bfloat16."""
    header, start = _header(file)
    with file.open("rb") as stream:
        mapped = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    for name, tensor in header.items():
        first, last = tensor["data_offsets"]
        description = f"{tensor['dtype']} {tensor['shape']}"
        yield StoredTensor(name, description, mapped[start + first : start + last])


def _header(file: Path) -> tuple[dict[str, Any], int]:
    """A safetensors file's header, and where its data starts.

    The layout: 8 bytes of the header's length, the header in JSON, the tensors.
    """
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            start = 8 + int.from_bytes(stream.read(8), "little")
            if start > size:
                raise ValueError("its header is cut short")
            header = json.loads(stream.read(start - 8))
        header.pop("__metadata__", None)
        end = start + max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
        if end != size:
            raise ValueError(f"it has {size} bytes of {end}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{file.name} is broken or cut short; fetch it again") from error
    return header, start


def _torch_tensors(file: Path) -> Iterator[StoredTensor]:
    import torch

    try:
        # Only archives can be mapped into memory.
        content = torch.load(
            file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
        )
    except Exception as error:  # torch raises what its unpickler meets: there is no list of it
        raise WeightsError(
            f"{file.name} is broken or holds more than tensors; save the model as safetensors"
        ) from error
    if not isinstance(content, dict):
        raise WeightsError(f"{file.name} is no table of named tensors; save the model anew")
    for name, tensor in content.items():
        if isinstance(tensor, torch.Tensor):
            dtype = str(tensor.dtype).removeprefix("torch.")
            description = f"{SAFETENSORS_DTYPES.get(dtype, dtype)} {list(tensor.shape)}"
            # As bytes, since NumPy has no bfloat16.
            data = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
            yield StoredTensor(str(name), description, data.data)
