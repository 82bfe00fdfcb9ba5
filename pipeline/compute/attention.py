"""The attention that a frozen model computes with, where PyTorch's fused one is not the fastest.

In bfloat16 on a CPU the fused attention is slow backwards, and without AMX forwards too, against
two products with a softmax between them. Transformers' own plain attention reads and writes the
weights [B, heads, L, S] more often than these need to: for the scale, for the mask, and in CLIP for
a softmax in float32. A CPU without bfloat16 products computes the fused forward pass in float32
inside; the plain one does so here.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from pipeline.compute.device import cpu_has_amx
from pipeline.compute.packed_linear import product_dtype

FUSED = "sdpa"
"""PyTorch's, by Transformers' name: its choice for every model that can."""
PLAIN, FUSED_FORWARD = "plain_bfloat16", "fused_forward_bfloat16"
"""Those of this module, by the names that they are registered under."""


def use_fastest_attention(model: PreTrainedModel, device: torch.device) -> None:
    """Set the attention of a model that Transformers loaded, for its dtype and where it will run.

    A model that cannot use PyTorch's fused attention keeps its own.
    """
    on_cpu = device.type == "cpu" and model.dtype == torch.bfloat16
    if on_cpu and model.config._attn_implementation == FUSED:
        plain_is_faster = product_dtype(model.dtype) == model.dtype and not cpu_has_amx()
        model.set_attn_implementation(PLAIN if plain_is_faster else FUSED_FORWARD)


def plain_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention, called as Transformers calls it.

    Args:
        module: the attention layer; whether it is causal counts where `is_causal` is None.
        query: [B, heads, L, D].
        key, value: [B, heads or fewer, S, D]; neighbouring queries share one.
        attention_mask: bool [B or 1, 1, L, S], true where a query looks. None in a causal layer is
            up to its own place, and everywhere in another.

    Returns:
        [B, L, heads, D], and no weights.
    """
    if others.get("position_bias") is not None:  # MPT's, for one: slower, and right
        options = {"dropout": dropout, "scaling": scaling, "is_causal": is_causal, **others}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    dtype = query.dtype
    query, key, value = (x.to(product_dtype(dtype)) for x in (query, key, value))
    key, value = (repeat_kv(x, query.shape[1] // x.shape[1]) for x in (key, value))
    batch, heads, length, width = query.shape
    if is_causal is None:
        is_causal = getattr(module, "is_causal", True)
    if attention_mask is None and is_causal and length > 1:
        everywhere = torch.ones(length, key.shape[2], dtype=torch.bool, device=query.device)
        attention_mask = everywhere.tril()[None, None]
    q, k, v = (x.reshape(batch * heads, x.shape[2], x.shape[3]) for x in (query, key, value))
    # Scaled and masked within the product.
    weights = torch.baddbmm(
        _bias(attention_mask, heads, query),
        q,
        k.transpose(1, 2),
        beta=0 if attention_mask is None else 1,
        alpha=width**-0.5 if scaling is None else scaling,
    ).softmax(dim=-1)
    attended = torch.bmm(F.dropout(weights, dropout), v)
    attended = attended.to(dtype).view(batch, heads, length, -1)
    return attended.transpose(1, 2).contiguous(), None


def _bias(mask: Tensor | None, heads: int, query: Tensor) -> Tensor:
    """What is added to the weights [B·heads, L, S] before the softmax, in a shape that fits."""
    if mask is None:
        return query.new_zeros(1, 1, 1)
    bias = query.new_zeros(mask.shape).masked_fill(~mask, torch.finfo(query.dtype).min)
    if len(bias) > 1:
        bias = bias.expand(-1, heads, -1, -1)
    return bias.reshape(-1, *mask.shape[2:])


def fused_forward_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any
) -> tuple[Tensor, None]:
    """PyTorch's fused attention where no gradient is wanted, else `plain_attention`."""
    with_gradient = torch.is_grad_enabled() and query.requires_grad
    attention = plain_attention if with_gradient else sdpa_attention_forward
    return attention(module, query, key, value, *args, **kwargs)


for _name, _attention in ((PLAIN, plain_attention), (FUSED_FORWARD, fused_forward_attention)):
    AttentionInterface.register(_name, _attention)
    AttentionMaskInterface.register(_name, sdpa_mask)
