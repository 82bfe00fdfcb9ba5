"""The frozen CLIP whose embeddings a generator reads, as the model folder names it.

Imports no torch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipeline.common.files import read_json, write_json
from pipeline.model.config import validated
from pipeline.model.layout import ENCODER_FILE, remedy


class Encoder(BaseModel):
    """A CLIP by name, how it embeds, and what its embeddings are recognised by."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: str
    """The folder or Hub id of the CLIP."""
    revision: str | None
    """Its revision on the Hub, if one was given."""
    precision: str
    """float32 or bfloat16."""
    image_fit: str
    """How a picture became square: crop, pad or squash."""
    text_overflow: str
    """What became of long captions: truncate or chunks."""
    image_fingerprint: str
    """SHA-256 of all that an image's embedding depends on; see `FrozenClip.fingerprint`."""
    text_fingerprint: str
    """The same of a caption's."""

    @classmethod
    def of(cls, images: Mapping[str, Any], texts: Mapping[str, Any]) -> "Encoder":
        """From the attributes of the image and the text features."""
        return cls(
            model=images["model"],
            revision=images["revision"] or None,
            precision=images["precision"],
            image_fit=images["image_fit"],
            text_overflow=texts["text_overflow"],
            image_fingerprint=images["fingerprint"],
            text_fingerprint=texts["fingerprint"],
        )

    def write(self, folder: Path) -> None:
        """Write it into a model folder."""
        write_json(folder / ENCODER_FILE, self.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> "Encoder":
        """Of a model folder; raises UserError if the file is missing or not of this version."""
        path = folder / ENCODER_FILE
        return validated(cls, read_json(path, remedy(folder)), path)
