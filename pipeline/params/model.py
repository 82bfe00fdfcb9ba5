"""`fusion`, `decoder` and `prompt`: what a generator is built from, and kept with."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.params.group import Count, CountOrZero, Group, Name


class FusionParams(Group):
    """`fusion`: the encoder over the context."""

    d_model: Count = 256
    """Width of the fusion Transformer; a multiple of `heads`."""
    layers: Count = 2
    """Layers of the fusion Transformer. 1 or more."""
    heads: Count = 4
    """Attention heads per layer; divides `d_model`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout probability in the fusion Transformer; from 0, below 1."""
    frames: Literal["all", "last"] = "all"
    """Frames of the context that it reads: all K, or the last alone."""
    modalities: Literal["both", "image"] = "both"
    """What it reads of a frame: embeddings of image and caption, or of the image alone."""
    position_embeddings: bool = True
    """Whether the model is told the order of the context frames."""
    projection: Literal["linear", "relu"] = "linear"
    """How a frame's embeddings become the Transformer's input: by a linear layer, or with a ReLU
    behind it."""
    embedding_heads: Literal["two", "one"] = "two"
    """Whether the embeddings of the target's image and of its caption are predicted by a head each,
    or by one for both."""

    hide_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the training windows of which captions, images or opening frames are hidden, so that
    the model can do without some; from 0, below 1. At 0 it has to be given all."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.d_model % self.heads:
            multiple = f"a multiple of fusion.heads, which is {self.heads}"
            raise ValueError(f"fusion.d_model is {self.d_model}, but must be {multiple}")
        return self


class DecoderParams(Group):
    """`decoder`: the language model and its prefix."""

    model: Name = "data/sample/gpt2"
    """Causal language model that writes the caption: a folder, or a model on the Hub."""
    revision: Name | None = None
    """Branch, tag or commit of that model on the Hub; null is its main branch."""
    tune: Literal["frozen", "lora", "full"] = "frozen"
    """Whether the language model stays as it is; has low-rank adapters trained on its linear layers
    (LoRA); or is trained itself."""
    lora_rank: Count = 16
    """Rank of the adapters where `tune` is lora. 1 or more."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the language model's frozen weights; auto is bfloat16 where that is faster.
    Whatever is trained is float32."""
    n_prefix: Count = 8
    """Prefix embeddings made from the pooled context vector. 1 or more."""
    frame_prefix: bool = True
    """Whether the encoder's K outputs, one per frame, follow as further prefix embeddings."""
    embedding_prefix: bool = True
    """Whether those of the pooled context vector are made from the predicted CLIP embeddings of the
    next image and caption, too."""

    @model_validator(mode="after")
    def _trained_in_float32(self) -> Self:
        if self.tune == "full" and self.precision == "bfloat16":
            raise ValueError(
                "decoder.precision is bfloat16, but decoder.tune is full: "
                "a language model that is trained needs float32 (or auto)"
            )
        return self


class PromptParams(Group):
    """`prompt`: what the language model is given in words."""

    words_per_caption: CountOrZero = 25
    """Opening words of each context caption that stand in the prompt; 0 leaves the captions out,
    and the prompt is a line number alone."""
    max_target_tokens: Count = 128
    """Target tokens that are trained on, end-of-text included; below `max_sequence_tokens`."""
    end_of_text: bool = True
    """Whether end-of-text closes a target that fits. Without it the decoder is never taught to
    stop."""
    max_sequence_tokens: Annotated[int, Field(ge=2)] = 320
    """Longest prompt and target together, tokens, prefix not counted. 2 or more."""

    @model_validator(mode="after")
    def _target_leaves_room(self) -> Self:
        if self.max_target_tokens >= self.max_sequence_tokens:
            limit = f"below prompt.max_sequence_tokens, which is {self.max_sequence_tokens}"
            given = f"prompt.max_target_tokens is {self.max_target_tokens}"
            raise ValueError(f"{given}, but must be {limit}")
        return self
