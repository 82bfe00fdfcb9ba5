"""What has to be known to build a generator again: everything but the weights. Imports no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.common.errors import UserError
from pipeline.common.files import read_json, write_json
from pipeline.model.layout import ENCODER_FILE, PARAMS_FILE, read_params, remedy
from pipeline.params import DecoderParams, FusionParams, LossParams, PromptParams
from pipeline.params.errors import first_problem
from pipeline.params.group import unset_keys


class GeneratorConfig(BaseModel):
    """Shape of a `StoryGenerator` and the names of the frozen parts that it is built on."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    k: int
    """Context frames, K."""
    dim_image: int
    """Width of the image embeddings that the model reads and predicts."""
    dim_text: int
    """Width of the text embeddings that the model reads and predicts."""
    fusion: FusionParams
    """The encoder over the context."""
    decoder: DecoderParams
    """The language model, by name, and its prefix."""
    prompt: PromptParams
    """The words that the language model is given."""
    decoder_digest: str | None = None
    """Of the language model's files as they were when the generator was made (see
    `PretrainedFolder.digest`); None before that."""

    @property
    def frames(self) -> int:
        """Frames of the context that the encoder reads."""
        return self.k if self.fusion.frames == "all" else 1

    @property
    def prefix_tokens(self) -> int:
        """Embeddings in front of the prompt, P."""
        return self.decoder.n_prefix + (self.frames if self.decoder.frame_prefix else 0)

    def at(self, decoder: str) -> "GeneratorConfig":
        """The same with its language model somewhere else; its digest has to be the same."""
        moved = self.decoder.model_copy(update={"model": decoder})
        return self.model_copy(update={"decoder": moved})

    def write(self, path: Path) -> None:
        """Write the config as JSON."""
        write_json(path, self.model_dump(mode="json", by_alias=True))

    @classmethod
    def read(cls, path: Path) -> "GeneratorConfig":
        """Read what `write` wrote; raises UserError if it is missing or not of this version."""
        return validated(cls, read_json(path, remedy(path.parent)), path)


class Encoder(BaseModel):
    """The CLIP whose embeddings a generator reads: its name, how it embeds, its fingerprints."""

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
    max_words: int | None
    """Opening words that were read of a caption; None for all."""
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
            max_words=texts.get("max_words"),
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


class Batches(BaseModel):
    """How a model's training was cut into steps."""

    batch_size: int = Field(ge=1)
    """Windows per step: the contrastive losses depend on it."""


class Trained(BaseModel):
    """What the losses of a model are measured by: those that it was trained on."""

    loss: LossParams
    """Their weights."""
    train: Batches

    @classmethod
    def read(cls, folder: Path) -> "Trained":
        """Of a model folder; raises UserError if it does not say so."""
        return validated(cls, read_params(folder), folder / PARAMS_FILE)


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], values: Any, path: Path) -> Model:
    """`values`, read from `path` in a model folder, as `model`; UserError where a key is amiss."""
    try:
        found = model.model_validate(values)
        problem = next((f"{'.'.join(key)}: missing" for key in unset_keys(found)), None)
    except ValidationError as error:
        problem = first_problem(error)
    if problem is not None:
        raise UserError(
            f"{path}: {problem}; the model was written by another version of this code, so delete "
            f"{path.parent} and {remedy(path.parent)}"
        )
    return found
