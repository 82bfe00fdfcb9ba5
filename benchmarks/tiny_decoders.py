"""Causal language models of every architecture that Transformers has, tiny and with random weights.

One set of sizes serves most: what an architecture calls otherwise stands beside it.
"""

from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

ARCHITECTURES = tuple(sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))
"""By the names that stand as `model_type` in a config.json."""

VOCABULARY, WIDTH = 96, 32

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "initializer_range": 0.2,  # loud: captions of different contexts differ
}
WINDOWS: dict[str, Any] = {  # shorter than what is read; for those that have one
    "sliding_window": 8,
    "use_sliding_window": True,
    "attention_chunk_size": 8,
    "window_size": 8,
}
EXPERTS: dict[str, Any] = {
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "first_k_dense_replace": 1,
}
LATENT: dict[str, Any] = {  # attention by low-rank keys and values
    "kv_lora_rank": 8,
    "q_lora_rank": 8,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
LINEAR: dict[str, Any] = {  # linear attention, of several makes
    "linear_head_dim": 8,
    "linear_num_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
TRANSLATOR: dict[str, Any] = {  # the decoder of a model that has an encoder too
    "d_model": WIDTH,
    "decoder_layers": 2,
    "decoder_ffn_dim": 64,
    "decoder_attention_heads": 4,
    "encoder_layers": 1,
    "encoder_ffn_dim": 64,
    "encoder_attention_heads": 4,
    "init_std": 0.2,
}
DECODER = {"is_decoder": True}
"""For those that are encoders unless told otherwise."""

VISION = {
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}
HYBRID = {"layer_types": ["linear_attention", "full_attention"]}
CONVOLUTIONS = {"layer_types": ["conv", "full_attention"]}
OWN: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1], "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8},
    "bailing_hybrid": {"num_key_value_heads": 4, "num_mtp_layers": 0}
    | {"layer_types": ["linear_attention", "full_attention"], "mlp_layer_types": ["dense"] * 2},
    "codegen": {"rotary_dim": 8},
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8},
    "gemma3": {"vision_config": VISION},
    "gemma3n_text": {"num_hidden_layers": 4, "num_kv_shared_layers": 2, "laurel_rank": 8}
    | {"layer_types": ["full_attention"] * 4}
    | {"vocab_size_per_layer_input": 96, "hidden_size_per_layer_input": 8},
    "gemma4_text": {"vocab_size_per_layer_input": 96, "hidden_size_per_layer_input": 8}
    | {"layer_types": ["full_attention"] * 2},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gptj": {"rotary_dim": 8},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"], "shared_intermediate_size": 32}
    | {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "kimi_linear": HYBRID,
    "lfm2": CONVOLUTIONS,
    "lfm2_moe": CONVOLUTIONS | {"num_dense_layers": 1},
    "lfm3": CONVOLUTIONS,
    "mamba2": {"num_heads": 8, "n_groups": 1, "state_size": 8, "chunk_size": 4},
    "qwen3_5_moe_text": HYBRID,
    "qwen3_5_text": HYBRID,
    "qwen3_next": HYBRID,
    "qwen4_exp_text": HYBRID,
    "recurrent_gemma": {"num_hidden_layers": 3, "attention_window_size": 64},
    "reformer": {"axial_pos_embds": False, "attn_layers": ["local", "lsh"]},
    "xlnet": {"d_head": 8},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
    "zamba": {"num_hidden_layers": 6, "layers_block_type": ["mamba", "hybrid"] * 3},
    "zamba2": {"num_hidden_layers": 6, "layers_block_type": ["mamba", "hybrid"] * 3}
    | {"n_mamba_heads": 8, "chunk_size": 4, "mamba_d_state": 8, "adapter_rank": 8},
    "zaya": {"num_experts_per_tok": 1},
}
"""What an architecture wants besides or instead."""
EVERY_HEAD = {  # keys for every query: all with low-rank ones, and a few more
    *(
        "kimi_linear",
        "axk1",
        "axk2",
        "deepseek_v2",
        "deepseek_v3",
        "deepseek_v32",
        "dots3_note_text",
    ),
    *("glm4_moe_lite", "glm_moe_dsa", "longcat_flash", "minicpm3", "youtu"),
}
WITHOUT = {
    "falcon": {"head_dim"},
    "prophetnet": {"num_hidden_layers"},
    "xlnet": {"max_position_embeddings"},
    "xlstm": {"v_head_dim"},
}
"""Sizes that its configuration does not take."""
LARGEST = 30_000_000
"""Weights of a model that is still tiny."""


class NoTinyModelError(Exception):
    """Why none could be made: the last line of what its configuration or its code says."""


def tiny_decoder(name: str, **own: Any) -> Any:
    """A causal LM in eval mode, the same at every call.

    Args:
        name: one of `ARCHITECTURES`.
        own: of its configuration, before all that is known here.

    Raises NoTinyModelError.
    """
    try:
        config = tiny_config(name, **own)
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(config)
        if sum(weight.numel() for weight in empty.parameters()) > LARGEST:
            raise NoTinyModelError("its sizes go by other names")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            lm = AutoModelForCausalLM.from_config(config).eval()
        with torch.no_grad():
            lm(input_ids=torch.arange(3, 9)[None], use_cache=False)
    except NoTinyModelError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise NoTinyModelError(lines[-1] if lines else type(error).__name__) from error
    return lm


def tiny_config(name: str, **own: Any) -> Any:
    """The configuration of `tiny_decoder`."""
    kind = CONFIG_MAPPING[name]
    text_kind = kind.sub_configs.get("text_config", kind)
    windows = {key: size for key, size in WINDOWS.items() if hasattr(text_kind, key)}
    sizes = SIZES | windows | EXPERTS | LATENT | LINEAR | TRANSLATOR | DECODER
    if name in EVERY_HEAD:
        sizes = sizes | {"num_key_value_heads": sizes["num_attention_heads"]}
    if "text_config" in kind.sub_configs:
        text = {key: size for key, size in sizes.items() if key not in DECODER}
        text |= OWN.get(f"{name}_text", {})
        return kind(**({"text_config": text} | OWN.get(name, {}) | own))
    left_out = WITHOUT.get(name, set())
    sizes = {key: size for key, size in sizes.items() if key not in left_out}
    return kind(**(sizes | OWN.get(name, {}) | own))
