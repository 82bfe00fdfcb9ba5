"""Layers of CLIP as they compute the same with less work. Nothing is approximated."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import QuickGELUActivation

from pipeline.clip.preprocess import ImagePreprocessor

QUICK_GELU_FACTOR = 1.702
"""As in the published CLIP."""


def fuse_quick_gelu(mlp: Any) -> None:
    """Compute x·sigmoid(1.702·x), of three operations, as the one operation SiLU.

    SiLU(y) is y·sigmoid(y): with y = 1.702·x the factor goes into the weights before it and comes
    out of those behind it. Another activation is left as it is.

    Args:
        mlp: a CLIPMLP of Transformers, without gradients.
    """
    if isinstance(mlp.activation_fn, QuickGELUActivation):
        mlp.fc1.weight.mul_(QUICK_GELU_FACTOR)
        mlp.fc1.bias.mul_(QUICK_GELU_FACTOR)
        mlp.fc2.weight.div_(QUICK_GELU_FACTOR)
        mlp.activation_fn = nn.SiLU(inplace=True)


class PatchEmbedding(nn.Module):
    """CLIP's first layer for pixels as bytes: normalisation and convolution in one product.

    Patches do not overlap, so the convolution is a linear layer over the pixels of each; and since
    normalisation is linear in a byte, it goes into that layer's weights and bias. Bytes less
    `CENTRE` are small and exact in bfloat16, which normalised values are not.
    """

    CENTRE = 128

    def __init__(self, convolution: nn.Conv2d, preprocessor: ImagePreprocessor):
        """`convolution` is CLIP's: no padding, no bias, and it steps as far as it reaches."""
        super().__init__()
        self.side = convolution.kernel_size[0]
        weight = convolution.weight.detach()  # [W, 3, side, side]
        mean, std = (
            weight.new_tensor(values)[:, None, None]
            for values in (preprocessor.mean, preprocessor.std)
        )
        centre = (self.CENTRE * preprocessor.scale - mean) / std
        bias = (weight * centre).sum(dim=(1, 2, 3))
        weight = (weight * (preprocessor.scale / std)).flatten(1)
        self.linear = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device)
        self.linear.load_state_dict({"weight": weight, "bias": bias})
        self.linear.requires_grad_(False)

    @property
    def weight(self) -> Tensor:
        """Transformers asks it for the dtype."""
        return self.linear.weight

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels [B, 3, S, S], 0 to 255 in the weights' dtype, to [B, W, S // side, S // side]."""
        batch, channels, height, width = pixels.shape
        grid = (height // self.side, width // self.side)
        # Pixels beyond the last whole patch are not seen, by a convolution neither.
        pixels = pixels[..., : grid[0] * self.side, : grid[1] * self.side]
        patches = pixels.reshape(batch, channels, grid[0], self.side, grid[1], self.side)
        patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, *grid, -1)
        embedded: Tensor = self.linear(patches.sub_(self.CENTRE))
        return embedded.permute(0, 3, 1, 2)


class LastLayer(nn.Module):
    """The last layer of a tower, for the one position of each row that CLIP reads its state at.

    Keys and values are those of all positions; queries, output projection and MLP, five sixths of
    a layer, are left out where nobody would look at their result.
    """

    read_at: Tensor
    """The position in each row, int64 [B]; to be set before a forward pass."""

    def __init__(self, layer: Any, causal: bool):
        """`layer` is a CLIPEncoderLayer; `causal` for text, whose positions see none after them."""
        super().__init__()
        self.layer = layer
        self.causal = causal

    def forward(self, hidden: Tensor, *_: Any, **__: Any) -> Tensor:
        """hidden [B, L, W] to [B, L, W], right at `read_at` and the same everywhere else in a row.

        Masks that Transformers hands in are the causal one or none, hence not needed.
        """
        batch, length, width = hidden.shape
        attention = self.layer.self_attn

        def heads(states: Tensor) -> Tensor:  # [B, ..., W] to [B, heads, ..., W / heads]
            return states.view(batch, -1, attention.num_heads, attention.head_dim).transpose(1, 2)

        rows = torch.arange(batch, device=hidden.device)
        seen = None
        if self.causal:
            positions = torch.arange(length, device=hidden.device)
            seen = (positions <= self.read_at[:, None])[:, None, None]  # [B, 1, 1, L]
        normed = self.layer.layer_norm1(hidden)
        attend = _attend_alike if hidden.dtype == torch.float32 else F.scaled_dot_product_attention
        attended = attend(
            heads(attention.q_proj(normed[rows, self.read_at])),
            heads(attention.k_proj(normed)),
            heads(attention.v_proj(normed)),
            attn_mask=seen,
            scale=attention.scale,
        )
        state = hidden[rows, self.read_at] + attention.out_proj(attended.reshape(batch, width))
        state = state + self.layer.mlp(self.layer.layer_norm2(state))
        return state[:, None].expand(-1, length, -1)


def _attend_alike(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, scale: float
) -> Tensor:
    """Attention of one query a row, the same to the last digit wherever the row is in its batch.

    PyTorch's kernels share the rows out among threads, and products with a single row then round
    otherwise at the seams; the fused one for bfloat16 does not.

    Args:
        query: [B, heads, 1, D]. key, value: [B, heads, L, D].
        attn_mask: bool [B, 1, 1, L], true where the query looks; None is everywhere.

    Returns:
        [B, heads, 1, D].
    """
    weights = (query * key).sum(dim=-1, keepdim=True) * scale  # [B, heads, L, 1]
    if attn_mask is not None:
        weights = weights.masked_fill(~attn_mask.transpose(2, 3), -torch.inf)
    return (weights.softmax(dim=2) * value).sum(dim=2, keepdim=True)
