"""Linear layers with frozen weights, which are laid out once for the CPU's matrix kernels.

oneDNN multiplies by a weight matrix in blocks, and a plain layer has it brought into blocks at
every call. For weights that never change once is enough, which counts most where rows are few, as
in generation. `torch.compile` does the same when it freezes a model, but wants a C++ compiler
wherever the project runs.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from transformers.pytorch_utils import Conv1D

PACKED = (torch.float32, torch.bfloat16)
"""Dtypes of the weights that are packed; layers of any other stay plain."""


def product_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype to multiply numbers of `dtype` in on this CPU: that itself, or float32 for bfloat16
    where oneDNN has no kernels for it.

    PyTorch's own product in bfloat16 is several times as slow there as one in float32, which holds
    every bfloat16 number. Results that are rounded afterwards agree within bfloat16's precision.
    """
    return dtype if dtype != torch.bfloat16 or can_pack(dtype) else torch.float32


@functools.cache
def can_pack(dtype: torch.dtype) -> bool:
    """Whether the packed product works for `dtype`, found out by doing it.

    The operators are private to PyTorch: builds without oneDNN lack them, and each processor
    refuses what it has no kernels for.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    ones = torch.ones(16, 16, dtype=dtype)
    try:
        product = _packed_product(ones, torch.ops.mkldnn._reorder_linear_weight(ones), None)
    except (RuntimeError, AttributeError):
        return False
    return bool((product == 16).all())


def _packed_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x [N, in] times packed weights [out, in], plus bias [out]: [N, out]."""
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return y


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

    Packs at the first use on a CPU that can, and anew should the weights have changed; elsewhere it
    is the plain layer.
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
        on_cpu = self.weight.device.type == "cpu"
        return on_cpu and self.weight.dtype in PACKED and can_pack(product_dtype(self.weight.dtype))

    def _multiply(self, x: Tensor, backward: bool) -> Tensor:
        weight = self._pack(backward)
        bias = None if backward or self.bias is None else self.bias.to(weight.dtype)
        return _packed_product(x.to(weight.dtype), weight, bias).to(x.dtype)

    def _pack(self, backward: bool) -> Tensor:
        """The weights in oneDNN's layout, for the forward or the backward pass."""
        state = (self.weight.data_ptr(), self.weight._version, self.weight.dtype)
        known, packed = self._packed.get(backward, (None, None))
        if packed is None or known != state:
            matrix = self._matrix().detach()
            matrix = (matrix.t() if backward else matrix).to(product_dtype(matrix.dtype))
            packed = torch.ops.mkldnn._reorder_linear_weight(matrix.contiguous())
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
