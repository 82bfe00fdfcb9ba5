"""Losses of the supervised objective, as functions of tensors.

Why the embedding losses are not a mean squared error: averaged over D components it is about D/10
times weaker than a cosine, and the head never leaves the mean of the data.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

TEMPERATURE = 0.07
"""Of the contrastive term, as CLIP's was at its start (Radford et al., 2021)."""


def text_loss(nll: Tensor, mask: Tensor) -> Tensor:
    """Mean nats per supervised token: nll [B, T] where mask [B, T], end-of-text included."""
    return nll.sum() / mask.sum()


def embedding_loss(predicted: Tensor, target: Tensor, target_id: Tensor) -> Tensor:
    """(1 - cosine) + InfoNCE over the batch.

    The first term draws a prediction to its target; the second (van den Oord et al., 2018) keeps
    it apart from the other targets of the batch, without which the mean of all would do.

    Args:
        predicted, target: [B, D], unit norm.
        target_id: [B], equal where the targets are the same content; such a pair is no negative.
    """
    similarity = predicted @ target.T  # [B, B]
    own = similarity.diagonal()
    same = target_id[:, None] == target_id[None, :]
    same.fill_diagonal_(False)
    logits = (similarity / TEMPERATURE).masked_fill(same, -torch.inf)
    label = torch.arange(len(logits), device=logits.device)
    return (1 - own).mean() + F.cross_entropy(logits, label)
