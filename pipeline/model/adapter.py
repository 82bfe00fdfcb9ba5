"""Low-rank adapters on a frozen language model: LoRA (Hu et al., 2021, arXiv 2106.09685), by peft.

A linear layer's W x becomes W x + (alpha / r) B A x, of which A [r, in] and B [out, r] alone are
trained. B starts at zero, so that the model is what it was until the first step.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from pipeline.common.errors import UserError
from pipeline.model.check import probes

SCALE = 2
"""alpha / r: the same for every rank, so that one learning rate suits them all."""


def add_adapter(lm: Any, rank: int, name: str) -> None:
    """Put adapters on all linear layers that a text passes in a causal LM, but its output head.

    In place: the LM keeps its class, and its own weights, all frozen, their dtype. A and B are
    float32 over any of them, since in less they would lose small updates. What was `<layer>.weight`
    is `<layer>.base_layer.weight` then, beside `<layer>.lora_A.default.weight` and
    `<layer>.lora_B.default.weight`. Experts that are held together in one parameter are no linear
    layers, and get none.

    Args:
        lm: what `AutoModelForCausalLM` gives, in eval mode; `check_model` has found it to read
            embeddings.
        rank: r, 1 or more.
        name: of `decoder.model`, for the sentence.

    Raises:
        UserError: it has no such layer.
    """
    from peft import LoraConfig, inject_adapter_in_model  # takes seconds, and few runs want it

    layers = _linear_layers(lm)
    if not layers:
        raise UserError(
            f"decoder.model {name} has no linear layers that take an adapter: set decoder.tune to "
            "frozen or full, or choose another decoder.model"
        )
    config = LoraConfig(
        r=rank,
        lora_alpha=SCALE * rank,
        target_modules=[f"0.{layer}" for layer in layers],
        fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in layers.values()),
    )
    # In a list, since peft takes names in an LM of experts for those of Transformers 4.
    inject_adapter_in_model(config, nn.ModuleList([lm]))
    for parameter in lm.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # peft makes them in the dtype of their layer


@torch.no_grad()
def _linear_layers(lm: Any) -> dict[str, nn.Module]:
    """By name, the linear layers that are called when a text is read, without the output head.

    Found out by reading one: some belong to a tower for images, of others an LM takes the weights
    itself, and some return more than their product.
    """
    head = lm.get_output_embeddings()
    layers = {
        name: layer
        for name, layer in lm.named_modules()
        if isinstance(layer, nn.Linear | Conv1D) and layer is not head
    }
    called: set[nn.Module] = set()

    def note(layer: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            called.add(layer)

    hooks = [layer.register_forward_hook(note) for layer in layers.values()]
    try:
        lm(inputs_embeds=lm.get_input_embeddings()(probes(lm)), use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: layer for name, layer in layers.items() if layer in called}
