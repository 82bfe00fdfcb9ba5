"""Loading the causal language model and its tokenizer, by name, as Hugging Face keeps them."""

import sys
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from pipeline.common.errors import UserError
from pipeline.compute.attention import use_fastest_attention
from pipeline.compute.device import pick_device
from pipeline.model.config import GeneratorConfig
from pipeline.model.prompt import PromptBuilder
from pipeline.params import DecoderParams
from pipeline.pretrained.folder import PretrainedFolder, find_pretrained
from pipeline.pretrained.loading import load_config, load_pretrained
from pipeline.pretrained.tokenizer import load_tokenizer

FUSED_ACTIVATIONS = {"gelu_new": "gelu_pytorch_tanh"}
"""The same function under two names: GPT-2's is composed of eight operations, PyTorch's is one."""


def find_decoder(decoder: DecoderParams) -> PretrainedFolder:
    """The files of the language model; raises UserError where they cannot be used."""
    return find_pretrained("decoder.model", decoder.model, decoder.revision)


def load_language_model(folder: PretrainedFolder, dtype: torch.dtype) -> Any:
    """A causal LM in `dtype`, whatever precision its files are in.

    Raises UserError when it cannot be loaded whole.
    """
    config = load_config(folder)
    activation = getattr(config, "activation_function", None)
    if activation in FUSED_ACTIVATIONS:
        config.activation_function = FUSED_ACTIVATIONS[activation]
    lm = load_pretrained(AutoModelForCausalLM, folder, dtype, config)
    use_fastest_attention(lm, pick_device())
    return lm


def load_prompts(config: GeneratorConfig) -> PromptBuilder:
    """The prompt builder of a generator: its decoder's own tokenizer and its prompt settings.

    Raises UserError when the tokenizer is not there or not the decoder's.
    """
    folder = find_decoder(config.decoder)
    vocabulary = getattr(text_config(load_config(folder)), "vocab_size", sys.maxsize)
    tokenizer = load_tokenizer(folder, vocabulary)
    tokenizer.split_special_tokens = True  # `</s>` in a caption is text, and ends nothing
    return PromptBuilder(tokenizer, config.prompt)


def text_config(lm_config: Any) -> Any:
    """The part of an LM's config that speaks of text: most have no other."""
    try:
        return lm_config.get_text_config(decoder=True)
    except ValueError:  # several, as where one LM writes music to the words of another
        return lm_config


def position_limit(lm_config: Any) -> int | None:
    """The positions that an LM was built for; None where it names no limit."""
    config = text_config(lm_config)
    for name in ("max_position_embeddings", "max_seq_len"):
        positions = getattr(config, name, None)
        if isinstance(positions, int) and positions > 0:  # -1 is XLNet's word for none
            return positions
    return None


def check_room(lm_config: Any, config: GeneratorConfig, opening: int = 0) -> None:
    """Refuse settings whose longest sequence has more positions than the LM was built for.

    `opening`: tokens that the tokenizer puts before every text.
    """
    positions = position_limit(lm_config)
    in_front = config.prefix_tokens + opening
    longest = config.prompt.max_sequence_tokens + in_front
    if positions is None or longest <= positions:
        return
    advice = f"lower prompt.max_sequence_tokens to at most {positions - in_front}"
    if positions - in_front < 2:
        advice = "choose another decoder.model, or lower decoder.n_prefix"
    raise UserError(
        f"prompt.max_sequence_tokens: {config.prompt.max_sequence_tokens} and {in_front} prefix "
        f"embeddings make {longest} positions, but decoder.model {config.decoder.model} has "
        f"{positions}: {advice}"
    )
