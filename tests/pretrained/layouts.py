"""Model folders as the Hub's main branches and a user's cache have them."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

BIN = "pytorch_model.bin"
SAFE = "model.safetensors"


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / SAFE)


def copied(folder: Path, to: Path, *, weights: str = "safetensors") -> Path:
    """A copy of a folder in safetensors, with its weights as `weights` says: safetensors, bin,
    legacy (the format of torch before 1.6), both, and either one in two shards."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns(SAFE))
    tensors = weights_of(folder)
    if weights in ("safetensors", "both"):
        shutil.copy(folder / SAFE, to)
    if weights in ("bin", "both"):
        torch.save(tensors, to / BIN)
    if weights == "legacy":
        torch.save(tensors, to / BIN, _use_new_zipfile_serialization=False)
    if weights in ("bin shards", "safetensors shards"):
        write_shards(to, tensors, weights.split()[0])
    return to


def write_shards(folder: Path, tensors: dict[str, torch.Tensor], kind: str) -> None:
    import json

    stem, suffix = {"bin": ("pytorch_model", "bin"), "safetensors": ("model", "safetensors")}[kind]
    names = sorted(tensors)
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"{stem}-{number:05}-of-00002.{suffix}"
        chosen = {name: tensors[name] for name in part}
        if kind == "bin":
            torch.save(chosen, folder / file)
        else:
            save_file(chosen, folder / file, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(part, file))
    size = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))


def in_hub_cache(cache: Path, model: str, folder: Path, commit: str) -> Path:
    """Put a folder where the Hub's client keeps the main branch of `model`."""
    place = cache / f"models--{model.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    return Path(shutil.copytree(folder, place / "snapshots" / commit))
