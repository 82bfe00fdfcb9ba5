"""Loading the causal language model and its tokenizer, by name, as Hugging Face keeps them."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from pipeline.attention import use_fastest_attention
from pipeline.device import pick_device
from pipeline.errors import UserError
from pipeline.model.config import GeneratorConfig
from pipeline.model.prompt import PromptBuilder

FUSED_ACTIVATIONS = {"gelu_new": "gelu_pytorch_tanh"}
"""The same function under two names: GPT-2's is composed of eight operations, PyTorch's is one."""


def load_language_model(model: str, revision: str | None, dtype: torch.dtype) -> Any:
    """A causal LM in `dtype`, whatever precision its files are in.

    Raises UserError when there is no such model, or no network to fetch it.
    """
    try:
        config = AutoConfig.from_pretrained(model, revision=revision)
        activation = getattr(config, "activation_function", None)
        if activation in FUSED_ACTIVATIONS:
            config.activation_function = FUSED_ACTIVATIONS[activation]
        lm = AutoModelForCausalLM.from_pretrained(
            model, revision=revision, config=config, dtype=dtype, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        raise _not_found(model, revision, error) from error
    use_fastest_attention(lm, pick_device())
    return lm


def load_prompts(config: GeneratorConfig) -> PromptBuilder:
    """The prompt builder of a generator: its decoder's own tokenizer and its prompt settings."""
    name, revision = config.decoder.model, config.decoder.revision
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:
        raise _not_found(name, revision, error) from error
    tokenizer.split_special_tokens = True  # `<|endoftext|>` in a caption is text, and ends nothing
    return PromptBuilder(tokenizer, config.prompt)


def check_room(lm_config: Any, config: GeneratorConfig) -> None:
    """Refuse settings whose longest sequence has more positions than the LM was built for."""
    positions = getattr(lm_config, "max_position_embeddings", None)
    longest = config.prompt.max_sequence_tokens + config.prefix_tokens
    if positions is not None and longest > positions:
        raise UserError(
            f"prompt.max_sequence_tokens: {config.prompt.max_sequence_tokens} and "
            f"{config.prefix_tokens} prefix embeddings make {longest} positions, but decoder.model "
            f"{config.decoder.model} has {positions}: lower prompt.max_sequence_tokens to at most "
            f"{positions - config.prefix_tokens}"
        )


def _not_found(model: str, revision: str | None, error: Exception) -> UserError:
    at = f" at revision {revision}" if revision else ""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UserError(
        f"decoder.model: {model}{at} could not be loaded as a causal language model ({reason}): "
        "give a local folder, or a model id that can be reached from here"
    )
