"""A CLIP model as files: where they are, what they say, and a digest of each tower.

No torch here: whether anything has to be encoded at all is decided from the files.
"""

import hashlib
import json
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import UserError
from pipeline.files import read_json

Modality = Literal["image", "text"]

TOWER_PREFIXES: dict[Modality, tuple[str, ...]] = {
    "image": ("vision_model.", "visual_projection."),
    "text": ("text_model.", "text_projection."),
}
TOWER_CONFIGS: dict[Modality, str] = {"image": "vision_config", "text": "text_config"}
TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
)
# Notes that libraries leave in a config; the weights are always computed with in our own dtype.
CONFIG_NOTES = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"}


@dataclass(frozen=True)
class ClipFolder:
    """The files of one CLIP model: a local folder, or a snapshot of the Hub's."""

    path: Path
    model: str
    revision: str | None
    config: dict[str, Any]
    processor: dict[str, Any]
    """The image processor's settings (preprocessor_config.json)."""

    @property
    def dim(self) -> int:
        """D, the width of the space that both towers project into."""
        return int(self.config["projection_dim"])

    @property
    def image_size(self) -> int:
        """Side of the square that the image tower sees, in pixels."""
        return int(self.config["vision_config"]["image_size"])

    @property
    def text_positions(self) -> int:
        """Tokens that the text tower sees at most, start and end included."""
        return int(self.config["text_config"]["max_position_embeddings"])

    def tower_digest(self, modality: Modality) -> str:
        """SHA-256, in hex, of one tower: its configuration, its weights and its projection."""
        digest = hashlib.sha256()
        tower = self.config[TOWER_CONFIGS[modality]]
        settings = {name: value for name, value in tower.items() if name not in CONFIG_NOTES}
        digest.update(json.dumps([self.dim, settings], sort_keys=True).encode())
        found = False
        for name, description, data in sorted(self._tensors(modality), key=lambda t: t[0]):
            found = True
            digest.update(f"{name} {description} ".encode())
            digest.update(data)
        if not found:
            raise UserError(
                f"the weights in {self.path} have no tensor named {TOWER_PREFIXES[modality][0]}*; "
                "clip.model must be a CLIPModel saved by transformers"
            )
        return digest.hexdigest()

    def tokenizer_digest(self) -> str:
        """SHA-256, in hex, of the tokenizer's files."""
        digest = hashlib.sha256()
        for name in TOKENIZER_FILES:
            file = self.path / name
            if file.is_file():
                digest.update(f"{name} ".encode() + hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def _tensors(self, modality: Modality) -> Iterator[tuple[str, str, memoryview]]:
        """Name, dtype with shape, and stored bytes of each tensor of one tower.

        Reads the safetensors layout itself (8 bytes of header length, a JSON header, the data),
        because the library's NumPy door does not open bfloat16.
        """
        for file in self._weight_files():
            with file.open("rb") as stream:
                mapped = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
            start = 8 + int.from_bytes(mapped[:8], "little")
            header = json.loads(bytes(mapped[8:start]))
            header.pop("__metadata__", None)
            for name, tensor in header.items():
                if name.startswith(TOWER_PREFIXES[modality]):
                    first, last = tensor["data_offsets"]
                    description = f"{tensor['dtype']} {tensor['shape']}"
                    yield name, description, mapped[start + first : start + last]

    def _weight_files(self) -> list[Path]:
        index = self.path / "model.safetensors.index.json"
        if index.is_file():
            names = sorted(set(read_json(index)["weight_map"].values()))
        else:
            names = ["model.safetensors"]
        files = [self.path / name for name in names]
        if not all(file.is_file() for file in files):
            raise UserError(
                f"{self.path} has no {' or '.join(names)}; choose a clip.revision that has "
                "safetensors, or save the model once with save_pretrained"
            )
        return files


def find_clip(model: str, revision: str | None) -> ClipFolder:
    """Locate a CLIP model, fetching it from the Hugging Face Hub if it is no local folder.

    Args:
        model: a folder written by `save_pretrained`, or a Hub id.
        revision: branch, tag or commit of a Hub id; None is its default branch.

    Raises:
        UserError: if there is no such model within reach, or it is not a CLIP model.
    """
    path = Path(model) if Path(model).is_dir() else _download(model, revision)
    config = read_json(path / "config.json")
    if config.get("model_type") != "clip":
        raise UserError(
            f"clip.model {model} is a {config.get('model_type')!r} model by its config.json; "
            "a CLIPModel is needed"
        )
    return ClipFolder(path, model, revision, config, _read_processor(path))


def _download(model: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(
            snapshot_download(
                model, revision=revision, allow_patterns=["*.json", "*.txt", "*.safetensors"]
            )
        )
    except (HFValidationError, HfHubHTTPError, OSError, ValueError) as error:
        raise UserError(
            f"clip.model {model!r} is no folder here and could not be fetched from the Hugging "
            f"Face Hub ({type(error).__name__}); give the path of a saved CLIP model, or run once "
            "with a network connection"
        ) from error


def _read_processor(path: Path) -> dict[str, Any]:
    """The image processor's settings; transformers 5 may nest them in processor_config.json."""
    nested = path / "processor_config.json"
    if not (path / "preprocessor_config.json").is_file() and nested.is_file():
        settings = read_json(nested).get("image_processor")
    else:
        settings = read_json(path / "preprocessor_config.json")
    if not isinstance(settings, dict):
        raise UserError(f"{nested} has no image_processor; save the model's image processor too")
    return settings
