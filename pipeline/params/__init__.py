"""The experiment's parameters: `params.yaml`, typed and checked in one place.

The only reader of the file. Every stage calls `load_params`, which checks the whole file, so that a
typo stops the line before anything is touched. Defaults stand in the classes; the file says every
key nevertheless.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from pipeline.common.errors import UserError
from pipeline.params.dataset import DatasetParams as DatasetParams
from pipeline.params.errors import explain, explain_missing
from pipeline.params.gan import DiscriminatorParams as DiscriminatorParams
from pipeline.params.gan import GanParams as GanParams
from pipeline.params.group import (
    Count,
    CountOrZero,
    Group,
    Name,
    Positive,
    Weight,
    unset_keys,
)
from pipeline.params.model import DecoderParams as DecoderParams
from pipeline.params.model import FusionParams as FusionParams
from pipeline.params.model import PromptParams as PromptParams
from pipeline.params.yaml import read_yaml
from pipeline.storyworld.arcs import MAX_FRAMES


class ContextParams(Group):
    """`context`: what the model reads of a story."""

    k: Count = 4
    """Frames of context, K: the model reads K frames and tells the next. 1 or more."""
    windows: Literal["sliding", "first"] = "sliding"
    """Training windows: every K+1 frames in a row of a story, or only its first K+1."""


class SplitParams(Group):
    """`split`: which stories train, validate and test."""

    test: Literal["official", "carved"] = "official"
    """Test stories: the dataset's own test split, or a tenth carved out of its train split."""
    val_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """Share of train stories kept for validation when `test` is official; above 0, up to 0.5."""


class ClipParams(Group):
    """`clip`: the frozen image and text encoder."""

    model: Name = "data/sample/clip"
    """Frozen CLIP: a folder, or a model on the Hub."""
    revision: Name | None = None
    """Branch, tag or commit of that model on the Hub; null is its main branch."""
    image_fit: Literal["crop", "pad", "squash"] = "crop"
    """How a frame becomes square: as the model's own processor does it, by a centre crop; black
    bars; or change of proportions."""
    text_overflow: Literal["truncate", "chunks"] = "truncate"
    """Captions longer than CLIP's text window: cut off, or mean over chunks."""
    max_words: Count | None = None
    """Opening words of a caption that the model's CLIP reads; null is all of them. What captions
    are scored by reads them whole all the same."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the encoder; auto is bfloat16 where that is faster."""
    batch_size: Count = 32
    """Images or captions encoded at a time. 1 or more."""


class EmbedParams(Group):
    """`embed`: where frames and captions are embedded."""

    engine: Literal["local", "ray"] = "local"
    """By this process, or by the workers of a Ray cluster: the one at RAY_ADDRESS, or one of this
    machine alone. The features are the same bytes, so that no stage tracks it."""


class LossParams(Group):
    """`loss`: L = L_txt + alpha L_img + lambda L_align."""

    alpha: Weight = 0.5
    """Weight of the image loss L_img. 0 or more; 0 leaves the term out."""
    lambda_: Weight = Field(default=0.5, validation_alias="lambda", serialization_alias="lambda")
    """Weight of the alignment loss L_align (key `lambda`). 0 or more; 0 leaves the term out."""
    image: Literal["contrastive", "mse"] = "contrastive"
    """L_img of the predicted image embedding to the target's: 1 - cosine and InfoNCE over the
    batch, or the mean squared error over the dimensions."""
    align: Literal["contrastive", "cosine"] = "contrastive"
    """L_align of the predicted text embedding to the target caption's: 1 - cosine and InfoNCE over
    the batch, or 1 - cosine alone."""


class TrainParams(Group):
    """`train`: the training run."""

    processes: Count = 1
    """Processes that share every batch of the stage `train` (not of the adversarial one); what
    torchrun starts goes before it. Each takes a GPU of the machine's, or its share of the threads
    where there is none. 1 or more."""
    epochs: Count = 2
    """Passes over the training windows, at most. 1 or more."""
    batch_size: Count = 16
    """Windows per optimiser step. 1 or more."""
    embedding_windows: Count = 128
    """Windows of a step that the embedding losses see, those of the batch and others: they pass no
    language model, so they cost little. 1 or more; of fewer than `batch_size` there are no others.
    """
    told_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the windows whose prefix is made from the target's own CLIP embeddings, blurred, in
    the place of the predicted ones (teacher forcing); 0 is off. Counts with
    `decoder.embedding_prefix` alone."""
    lr: Positive = 0.001
    """Peak learning rate of AdamW. Above 0."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """The learning rate after its warm-up: down to zero along a cosine, or at its peak to the
    end; of the adversarial stage too."""
    weight_decay: Weight = 0.01
    """Weight decay of AdamW. 0 or more."""
    warmup_steps: CountOrZero = 50
    """Optimiser steps over which the learning rate rises to its peak. 0 or more."""
    max_grad_norm: Positive = 1.0
    """Norm to which gradients are clipped. Above 0."""
    patience_epochs: Count = 2
    """Stop after so many epochs in a row without a better validation loss. 1 or more."""
    checkpoint_every_steps: Count = 100
    """Steps between two checkpoints from which a killed run goes on. 1 or more."""


class GenerateParams(Group):
    """`generate`: how captions are decoded."""

    strategy: Literal["greedy", "nucleus", "retrieve"] = "greedy"
    """Most likely token each time; a draw from the smallest set that holds `top_p`; or nothing is
    written, and the training caption nearest to the predicted text embedding is taken."""
    max_new_tokens: Count = 128
    """Longest caption, tokens. 1 or more."""
    temperature: Annotated[float, Field(ge=0.001)] = 1.0
    """Softmax temperature of nucleus sampling; greedy does not look at it. 0.001 or more: nearer to
    0 the likeliest token is all there is, which `strategy: greedy` gives."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Probability mass of nucleus sampling; greedy does not look at it. Above 0, up to 1."""
    repetition_penalty: Annotated[float, Field(ge=0.001)] = 1.0
    """Divides the scores of tokens already written; 1 is off. 0.001 or more."""
    no_repeat_ngram_size: CountOrZero = 0
    """No sequence of so many tokens is written twice; 0 is off."""
    guidance: Annotated[float, Field(ge=1, le=100)] = 1.0
    """How much more the prefix counts than the prompt alone (classifier-free guidance); 1 is off,
    and anything else reads everything twice. From 1 to 100."""
    samples: Count = 1
    """Captions among which one is chosen: the first written by `strategy`, the others drawn from
    the nucleus. 1 or more; 1 leaves no choice."""
    choose: Literal["predicted", "mbr", "likelihood", "discriminator"] = "predicted"
    """Which of them: nearest in CLIP to the embeddings that the model predicts of the next frame;
    nearest to the others; likeliest a token; or what the discriminator likes best, of a model that
    was trained against one."""
    batch_size: Count = 32
    """Captions generated at a time. 1 or more."""


class EvaluateParams(Group):
    """`evaluate`: how captions are scored."""

    clip_prefix: str = ""
    """Put before a caption when CLIP scores it, e.g. `A photo depicts`; empty by default."""
    judge: Name | None = "data/sample/judge"
    """A second CLIP, trained apart, that scores the captions too: a folder, or a model on the Hub;
    null is none."""


class ReportParams(Group):
    """`report`: the page to look at."""

    max_stories: Count = 150
    """Stories in the gallery, at most; a third best, a third worst, the rest drawn. 1 or more."""
    max_megabytes: Positive = 15.0
    """Size of the page, MB of 10^6 bytes, at most; pictures shrink until it fits. Above 0."""
    compare: list[Name] = Field(default=[])
    """DVC experiments, branches, tags or commits to set beside this run; [] for none."""


class Params(Group):
    """The whole of `params.yaml`."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of the split, the training and the sampling. 0 or more."""
    dataset: DatasetParams = DatasetParams()
    context: ContextParams = ContextParams()
    split: SplitParams = SplitParams()
    clip: ClipParams = ClipParams()
    embed: EmbedParams = EmbedParams()
    fusion: FusionParams = FusionParams()
    decoder: DecoderParams = DecoderParams()
    prompt: PromptParams = PromptParams()
    loss: LossParams = LossParams()
    train: TrainParams = TrainParams()
    generate: GenerateParams = GenerateParams()
    gan: GanParams = GanParams()
    evaluate: EvaluateParams = EvaluateParams()
    report: ReportParams = ReportParams()

    def only(self, *groups: str) -> Self:
        """These groups alone: whoever is given them cannot come to depend on another one."""
        kept = self.model_copy()
        for name in type(self).model_fields.keys() - set(groups):
            del kept.__dict__[name]
        return kept

    @model_validator(mode="after")
    def _a_discriminator_can_choose(self) -> Self:
        trained = self.gan.variant != "none" and self.gan.has_discriminator
        if self.generate.choose == "discriminator" and not trained:
            raise ValueError(
                "generate.choose is discriminator, but no discriminator is trained: set "
                "gan.variant and gan.reward to what has one, or generate.choose to predicted"
            )
        return self

    @model_validator(mode="after")
    def _some_story_is_left(self) -> Self:
        dataset = self.dataset
        if dataset.source == "sample" and self.context.k >= MAX_FRAMES:
            raise ValueError(
                f"context.k is {self.context.k}, but must be below {MAX_FRAMES}, "
                "the frames of the longest story in dataset.source sample"
            )
        no_test = dataset.source == "parquet" and dataset.parquet.test is None
        if no_test and self.split.test == "official":
            raise ValueError(
                "split.test is official, but dataset.parquet.test is null: "
                "give it test stories or set split.test to carved"
            )
        return self


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check the parameters file.

    Raises:
        UserError: the file is missing, is not YAML, or a key or value in it is not allowed; one
            sentence that names the key, its value, what is allowed and the nearest known key.
    """
    return check_params(read_yaml(path), str(path))


def check_params(values: object, where: str) -> Params:
    """Turn plain nested values into `Params`; `where` names their origin in the UserError."""
    if not isinstance(values, dict):
        raise UserError(f"{where}: must hold groups of keys ({', '.join(Params.model_fields)})")
    try:
        params = Params.model_validate(values, by_alias=True, by_name=False)
    except ValidationError as error:
        raise UserError(f"{where}: {explain(error, Params)}") from None
    for path in unset_keys(params):
        raise UserError(f"{where}: {explain_missing(path, Params)}")
    return params
