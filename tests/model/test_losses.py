"""Losses against values worked out by hand."""

import math

import torch

from pipeline.model.losses import TEMPERATURE, contrastive_loss, embedding_losses, text_loss
from pipeline.params import LossParams


def test_text_loss_is_per_token() -> None:
    nll = torch.tensor([[1.0, 2.0], [6.0, 0.0]])
    assert text_loss(nll, torch.tensor([[True, True], [True, False]])).item() == 3.0


def test_embedding_loss_by_hand() -> None:
    eye = torch.eye(2)
    ids = torch.tensor([0, 1])
    contrast = math.log(1 + math.exp(-1 / TEMPERATURE))
    torch.testing.assert_close(contrastive_loss(eye, eye, ids).item(), contrast)
    swapped = contrastive_loss(eye.flip(0), eye, ids).item()
    torch.testing.assert_close(swapped, 1 + 1 / TEMPERATURE + contrast)


def test_the_same_target_is_no_negative() -> None:
    predicted = torch.nn.functional.normalize(torch.randn(3, 4), dim=-1)
    target = predicted[[0, 1, 1]]
    masked = contrastive_loss(predicted[[0, 1, 1]], target, torch.tensor([4, 7, 7]))
    pair = contrastive_loss(predicted[[0, 1]], target[[0, 1]], torch.tensor([4, 7]))
    assert masked < contrastive_loss(predicted[[0, 1, 1]], target, torch.tensor([4, 7, 8]))
    assert torch.isfinite(masked) and torch.isfinite(pair)
    alone = contrastive_loss(predicted[:2], target[[1, 1]], torch.tensor([7, 7]))
    torch.testing.assert_close(alone, 1 - (predicted[:2] @ target[1]).mean())


def test_each_embedding_is_pulled_by_the_loss_that_is_named() -> None:
    """Predictions at a cosine of 0.5 and 0 to their targets, in four dimensions."""
    predicted = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.0, 1.0, 0.0, 0.0]])
    target = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    both = (predicted, predicted)
    batch = {"target_image": target, "target_text": target.flip(0)}
    batch |= {f"{name}_id": torch.tensor([0, 1]) for name in tuple(batch)}

    published = embedding_losses(both, batch, LossParams(image="mse", align="cosine"))
    squares = [0.5**2 + 3 * 0.5**2, 1 + 1]
    torch.testing.assert_close(published[0].item(), sum(squares) / 8)
    torch.testing.assert_close(published[1].item(), ((1 - 0.5) + (1 - 0.0)) / 2)
    assert embedding_losses(both, batch, LossParams()) == (
        contrastive_loss(predicted, target, batch["target_image_id"]),
        contrastive_loss(predicted, target.flip(0), batch["target_text_id"]),
    )
