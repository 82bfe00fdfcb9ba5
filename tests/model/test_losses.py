"""Losses against values worked out by hand."""

import math

import torch

from pipeline.model.losses import TEMPERATURE, embedding_loss, text_loss


def test_text_loss_is_per_token() -> None:
    nll = torch.tensor([[1.0, 2.0], [6.0, 0.0]])
    assert text_loss(nll, torch.tensor([[True, True], [True, False]])).item() == 3.0


def test_embedding_loss_by_hand() -> None:
    eye = torch.eye(2)
    ids = torch.tensor([0, 1])
    contrast = math.log(1 + math.exp(-1 / TEMPERATURE))
    torch.testing.assert_close(embedding_loss(eye, eye, ids).item(), contrast)
    swapped = embedding_loss(eye.flip(0), eye, ids).item()
    torch.testing.assert_close(swapped, 1 + 1 / TEMPERATURE + contrast)


def test_the_same_target_is_no_negative() -> None:
    predicted = torch.nn.functional.normalize(torch.randn(3, 4), dim=-1)
    target = predicted[[0, 1, 1]]
    masked = embedding_loss(predicted[[0, 1, 1]], target, torch.tensor([4, 7, 7]))
    pair = embedding_loss(predicted[[0, 1]], target[[0, 1]], torch.tensor([4, 7]))
    assert masked < embedding_loss(predicted[[0, 1, 1]], target, torch.tensor([4, 7, 8]))
    assert torch.isfinite(masked) and torch.isfinite(pair)
    alone = embedding_loss(predicted[:2], target[[1, 1]], torch.tensor([7, 7]))
    torch.testing.assert_close(alone, 1 - (predicted[:2] @ target[1]).mean())
