"""Linear layers with frozen weights, which are laid out once for the CPU's matrix kernels.

oneDNN multiplies by a weight matrix in blocks, and a plain layer has it brought into blocks at
every call. For weights that never change once is enough: in the shapes of GPT-2 small, a product
over thousands of rows is a tenth faster, and one over 8 or 32 rows, as in generation, 1.2 to 4
times as fast. `torch.compile` does the same when it freezes a model, but wants a C++ compiler
wherever the project runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from transformers.pytorch_utils import Conv1D


def pack_frozen(module: nn.Module) -> None:
    """Replace every linear layer within `module` whose weights have no gradient, in place.

    Names of parameters stay, and tied ones stay tied.
    """
    for name, child in module.named_children():
        if type(child) in (nn.Linear, Conv1D):  # a subclass may compute something else
            if not any(parameter.requires_grad for parameter in child.parameters()):
                setattr(module, name, PackedLinear(child))
        else:
            pack_frozen(child)


class PackedLinear(nn.Module):
    """What `nn.Linear` (or GPT-2's `Conv1D`) computes, with gradients for its input alone.

    Packs at the first use on a CPU, and anew should the weights have changed; elsewhere it is the
    plain layer.
    """

    def __init__(self, layer: nn.Linear | Conv1D):
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.transposed = isinstance(layer, Conv1D)
        """Whether `weight` is [in, out], as in Conv1D, rather than [out, in]."""
        self.in_features, self.out_features = self._matrix().shape[::-1]
        self._packed: dict[bool, tuple[Any, Tensor]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Copies pack for themselves: oneDNN's layout cannot be copied."""
        return {**self.__dict__, "_packed": {}}

    def forward(self, x: Tensor) -> Tensor:
        """x [..., in] to [..., out]."""
        if not self._can_pack():
            return F.linear(x, self._matrix(), self.bias)
        y: Tensor = _Multiply.apply(x.reshape(-1, self.in_features), self)
        # A view from outside of the Function: some decoders add to what they get, in place.
        return y.view(*x.shape[:-1], self.out_features)

    def grad_input(self, grad: Tensor) -> Tensor:
        """Gradient [N, out] of the output to that of the input, [N, in]."""
        return self._multiply(grad, backward=True) if self._can_pack() else grad @ self._matrix()

    def _matrix(self) -> Tensor:
        """The weights as [out, in]."""
        return self.weight.t() if self.transposed else self.weight

    def _can_pack(self) -> bool:
        known = self.weight.dtype in (torch.float32, torch.bfloat16)
        return known and self.weight.device.type == "cpu" and torch.backends.mkldnn.is_available()

    def _multiply(self, x: Tensor, backward: bool) -> Tensor:
        bias = None if backward else self.bias
        weight = self._pack(backward)
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")

    def _pack(self, backward: bool) -> Tensor:
        """The weights in oneDNN's layout, for the forward or the backward pass."""
        state = (self.weight.data_ptr(), self.weight._version, self.weight.dtype)
        known, packed = self._packed.get(backward, (None, None))
        if packed is None or known != state:
            matrix = self._matrix().detach()
            matrix = (matrix.t() if backward else matrix).contiguous()
            packed = torch.ops.mkldnn._reorder_linear_weight(matrix)
            self._packed[backward] = (state, packed)
        return packed


class _Multiply(torch.autograd.Function):
    """The product has no derivative of PyTorch's own: this is it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: PackedLinear) -> Tensor:
        ctx.layer = layer
        return layer._multiply(x, backward=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.layer.grad_input(grad), None
