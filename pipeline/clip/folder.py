"""A CLIP model as files: what they say, and a digest of each tower.

No torch here, unless the config leaves out what is needed: whether anything has to be encoded at
all is decided from the files.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pipeline.pretrained.folder import PretrainedFolder, find_pretrained, update_with_tensors

Modality = Literal["image", "text"]

TOWER_PREFIXES: dict[Modality, tuple[str, ...]] = {
    "image": ("vision_model.", "visual_projection."),
    "text": ("text_model.", "text_projection."),
}
TOWER_CONFIGS: dict[Modality, str] = {"image": "vision_config", "text": "text_config"}
# Notes that libraries leave in a config; the weights are always computed with in our own dtype.
CONFIG_NOTES = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"}
LENGTH_STEP = 16
"""Captions are filled up to a multiple of this many tokens (or to the longest the model takes)."""
NEEDED = {"vision_config": "image_size", "text_config": "max_position_embeddings"}
"""Settings of the towers that are read here."""
DECISIVE = (
    "hidden_act",
    "image_size",
    "layer_norm_eps",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "patch_size",
)
"""Settings of a tower that change an embedding, besides the shapes of its weights."""


@dataclass(frozen=True)
class ClipFolder:
    """The files of one CLIP model."""

    files: PretrainedFolder
    processor: dict[str, Any]
    """The image processor's settings (preprocessor_config.json)."""

    @property
    def model(self) -> str:
        """Folder or Hub id."""
        return self.files.model

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its config with a value for everything that is read here.

        As it is stored, if that is complete. Else as CLIPConfig completes it: Transformers 4 left
        out what has its default value, and older versions kept towers under other names.
        """
        stored = self.files.config
        complete = "projection_dim" in stored and all(
            stored.get(f"{tower}_dict") is None and name in (stored.get(tower) or {})
            for tower, name in NEEDED.items()
        )
        if complete:
            return stored
        from pipeline.pretrained.loading import load_config

        filled: dict[str, Any] = load_config(self.files).to_dict()
        return filled

    @property
    def dim(self) -> int:
        """D, the width of the space that both towers project into."""
        return int(self.config["projection_dim"])

    @property
    def image_size(self) -> int:
        """Side of the square that the image tower sees, in pixels."""
        size = self.config["vision_config"]["image_size"]
        if not isinstance(size, int):
            raise self.files.error(f"it takes images of {size} pixels; only squares are supported")
        return size

    @property
    def text_positions(self) -> int:
        """Tokens that the text tower sees at most, start and end included."""
        return int(self.config["text_config"]["max_position_embeddings"])

    def tower_digest(self, modality: Modality) -> str:
        """SHA-256, in hex, of one tower: its configuration, its weights and its projection."""
        digest = hashlib.sha256()
        tower = self._decisive_settings(modality)
        settings = {name: value for name, value in tower.items() if name not in CONFIG_NOTES}
        digest.update(json.dumps([self.dim, settings], sort_keys=True).encode())
        if not update_with_tensors(digest, self.files.tensors(*TOWER_PREFIXES[modality])):
            raise self.files.error(
                f"its weights have no tensor named {TOWER_PREFIXES[modality][0]}*; a CLIPModel "
                "saved by transformers is needed"
            )
        return digest.hexdigest()

    def _decisive_settings(self, modality: Modality) -> dict[str, Any]:
        """A tower's settings as they are stored, and what else decides an embedding by its config.

        More would change with the version of Transformers that filled them in.
        """
        name = TOWER_CONFIGS[modality]
        stored: dict[str, Any] = self.files.config.get(name) or {}
        if self.config is self.files.config:
            return stored
        decisive = {key: self.config[name][key] for key in DECISIVE if key in self.config[name]}
        return {**stored, **decisive}


def find_clip(model: str, revision: str | None, parameter: str = "clip.model") -> ClipFolder:
    """Locate a CLIP model, fetching it from the Hugging Face Hub if it is no local folder.

    Args:
        model: a folder written by `save_pretrained`, or a Hub id.
        revision: branch, tag or commit of a Hub id; None is its default branch.
        parameter: the key in params.yaml that names the model.

    Raises:
        UserError: if there is no such model within reach, it is incomplete, or no CLIP model.
    """
    files = find_pretrained(parameter, model, revision)
    if files.config.get("model_type") != "clip":
        raise files.error(
            f"it is a {files.config.get('model_type')!r} model by its config.json; a CLIPModel "
            "(model_type clip) is needed"
        )
    return ClipFolder(files, _read_processor(files))


def _read_processor(files: PretrainedFolder) -> dict[str, Any]:
    """The image processor's settings; transformers 5 may nest them in processor_config.json."""
    own, nested = "preprocessor_config.json", "processor_config.json"
    advice = "save the model's image processor into the folder too, with save_pretrained"
    if not (files.path / own).is_file() and (files.path / nested).is_file():
        outer = files.read_json(nested, advice)
        settings = outer.get("image_processor") if isinstance(outer, dict) else None
    else:
        settings = files.read_json(own, advice)
    if not isinstance(settings, dict):
        raise files.error(f"{nested} has no image_processor; {advice}")
    return settings
