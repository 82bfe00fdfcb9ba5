"""Losses of the supervised objective, as functions of tensors.

Why the embedding losses are by default not a mean squared error: of unit vectors of D components
it is 2 (1 - cosine) / D, so that it hardly counts beside other terms and the head never leaves the
mean of the data.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from pipeline.params import LossParams

TEMPERATURE = 0.07
"""Of the contrastive term, as CLIP's was at its start (Radford et al., 2021)."""


def text_loss(nll: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, ""]:
    """Mean nats per supervised token, which is where the mask is true, end-of-text included."""
    return nll.sum() / mask.sum()


def embedding_losses(
    predicted: tuple[Float[Tensor, "b dim_image"], Float[Tensor, "b dim_text"]],
    batch: Mapping[str, Tensor],
    loss: LossParams,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """L_img and L_align of predicted image and text embeddings over a batch, of the kinds that
    `loss` names."""
    image, text = predicted
    return (
        embedding_loss(loss.image, image, batch["target_image"], batch["target_image_id"]),
        embedding_loss(loss.align, text, batch["target_text"], batch["target_text_id"]),
    )


def embedding_loss(
    kind: str,
    predicted: Float[Tensor, "b dim"],
    target: Float[Tensor, "b dim"],
    target_id: Int64[Tensor, " b"],
) -> Float[Tensor, ""]:
    """How far predictions are from their targets; arguments as of `contrastive_loss`.

    Args:
        kind: `contrastive`; `cosine`, for 1 - cosine; or `mse`, for the squared error, its mean
            over batch and dimensions.
    """
    if kind == "contrastive":
        return contrastive_loss(predicted, target, target_id)
    if kind == "cosine":
        return (1 - (predicted * target).sum(dim=-1)).mean()
    return F.mse_loss(predicted, target)


def contrastive_loss(
    predicted: Float[Tensor, "b dim"],
    target: Float[Tensor, "b dim"],
    target_id: Int64[Tensor, " b"],
) -> Float[Tensor, ""]:
    """(1 - cosine) + InfoNCE over the batch.

    The first term draws a prediction to its target; the second (van den Oord et al., 2018) keeps
    it apart from the other targets of the batch, without which the mean of all would do.

    Args:
        predicted, target: unit norm.
        target_id: equal where the targets are the same content; such a pair is no negative.
    """
    similarity = predicted @ target.T  # [B, B]
    own = similarity.diagonal()
    same = target_id[:, None] == target_id[None, :]
    same.fill_diagonal_(False)
    logits = (similarity / TEMPERATURE).masked_fill(same, -torch.inf)
    label = torch.arange(len(logits), device=logits.device)
    return (1 - own).mean() + F.cross_entropy(logits, label)
