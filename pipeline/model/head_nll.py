"""Likelihood of tokens under a frozen output layer, without ever holding all logits.

GPT-2 has 50,257 logits for each supervised token: in float32 some 300 MB for a batch of 16, which
a backward pass keeps and copies, and which took a fifth of a training step's time. The head is
frozen, so all that the backward pass needs of them is the slope of each token's likelihood on its
hidden state, which is computed while its logits are at hand. Cut Cross-Entropy (Wijmans et al.,
2024, arXiv 2411.09009) and Liger Kernel (Hsu et al., 2024, arXiv 2410.10989) do alike on a GPU.
"""

from typing import Any

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from pipeline.compute.packed_linear import PackedLinear

LOGITS_AT_A_TIME = 2**23
"""32 MB in float32: more are slower to write and read, fewer rows are slower to multiply."""


def head_nll(
    hidden: Float[Tensor, "n h"], head: PackedLinear, targets: Int64[Tensor, " n"]
) -> Float32[Tensor, " n"]:
    """Negative log-likelihood in nats of each token.

    Args:
        hidden: last hidden states.
        head: frozen; hidden states to logits.
        targets: token ids.

    Returns:
        differentiable once in `hidden`.
    """
    nll: Tensor = _HeadNll.apply(hidden, head, targets)
    return nll


class _HeadNll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: PackedLinear, targets: Tensor) -> Tensor:
        rows = max(1, LOGITS_AT_A_TIME // head.out_features)
        nll, slopes = [], []
        for part, wanted in zip(hidden.split(rows), targets.split(rows), strict=True):
            logprobs = head(part).float().log_softmax(dim=-1)  # [n, V]
            nll.append(F.nll_loss(logprobs, wanted, reduction="none"))
            if ctx.needs_input_grad[0]:
                slope = logprobs.exp_()  # of the nll on the logits: probabilities, less 1 ...
                slope[torch.arange(len(wanted), device=wanted.device), wanted] -= 1  # ... there
                slopes.append(head.grad_input(slope.to(hidden.dtype)))
        if slopes:
            ctx.save_for_backward(torch.cat(slopes))
        return torch.cat(nll)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (slopes,) = ctx.saved_tensors  # [N, H]
        return grad[:, None].to(slopes.dtype) * slopes, None, None
