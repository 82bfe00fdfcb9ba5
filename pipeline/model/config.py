"""What has to be known to build a generator again: everything but the weights."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.common.errors import UserError
from pipeline.common.files import read_json, write_json
from pipeline.model.layout import PARAMS_FILE, read_params, remedy
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
    def prefix_tokens(self) -> int:
        """Embeddings in front of the prompt, P."""
        return self.decoder.n_prefix + (self.k if self.decoder.frame_prefix else 0)

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
