"""Likelihood in pieces equals cross-entropy over all logits, and so does its gradient."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.compute.packed_linear import PackedLinear
from pipeline.model import head_nll as module
from pipeline.model.head_nll import head_nll

TOKENS, WIDTH, VOCABULARY = 11, 8, 30


@pytest.mark.parametrize("at_a_time", [1, 4 * VOCABULARY, 1000 * VOCABULARY])
@pytest.mark.parametrize("bias", [True, False])
def test_value_and_gradient(monkeypatch: pytest.MonkeyPatch, at_a_time: int, bias: bool) -> None:
    monkeypatch.setattr(module, "LOGITS_AT_A_TIME", at_a_time)
    torch.manual_seed(0)
    plain = nn.Linear(WIDTH, VOCABULARY, bias=bias).requires_grad_(False)
    targets = torch.randint(VOCABULARY, (TOKENS,))
    hidden = torch.randn(TOKENS, WIDTH)
    weight = torch.rand(TOKENS)  # of each token in the loss: a mean, a mask, an advantage
    one, other = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
    expected = F.cross_entropy(plain(one), targets, reduction="none")
    found = head_nll(other, PackedLinear(plain), targets)
    torch.testing.assert_close(found, expected)
    (weight * expected).sum().backward()
    (weight * found).sum().backward()
    torch.testing.assert_close(other.grad, one.grad)


def test_a_hopeless_token_has_a_finite_likelihood() -> None:
    head = PackedLinear(nn.Linear(1, 3, bias=False).requires_grad_(False))
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[0.0], [500.0], [0.0]]))
    hidden = torch.ones(1, 1, requires_grad=True)
    nll = head_nll(hidden, head, torch.tensor([2]))
    nll.sum().backward()
    assert nll.item() == pytest.approx(500)
    assert hidden.grad is not None and hidden.grad.item() == pytest.approx(500)


def test_no_logits_are_kept_for_the_backward_pass() -> None:
    head = PackedLinear(nn.Linear(WIDTH, VOCABULARY).requires_grad_(False))
    hidden = torch.randn(TOKENS, WIDTH, requires_grad=True)
    kept: list[torch.Size] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        head_nll(hidden, head, torch.zeros(TOKENS, dtype=torch.int64))
    assert kept == [(TOKENS, WIDTH)]


def test_without_gradients_nothing_is_kept() -> None:
    head = PackedLinear(nn.Linear(WIDTH, VOCABULARY).requires_grad_(False))
    nll = head_nll(torch.randn(TOKENS, WIDTH), head, torch.zeros(TOKENS, dtype=torch.int64))
    assert nll.shape == (TOKENS,) and not nll.requires_grad
