"""The adversarial losses, against numbers worked out by hand and plain formulas."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adversarial.losses import (
    advantages,
    feature_matching_loss,
    hinge_loss,
    policy_loss,
    preference_loss,
)

MASK = torch.tensor([[1, 1, 1], [1, 0, 0]]).bool()


def test_hinge_loss() -> None:
    real = torch.tensor([2.0, 0.5])  # 0 and 0.5 are missing to 1
    near, far = torch.tensor([-3.0, 0.0]), torch.tensor([1.0])  # 0 and 1 too much; 2 too much
    assert hinge_loss(real, [near]).item() == pytest.approx(0.25 + 0.5)
    assert hinge_loss(real, [near, far]).item() == pytest.approx(0.25 + (0.5 + 2.0) / 2)


def test_feature_matching_looks_at_means_alone() -> None:
    real = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    assert feature_matching_loss(real, torch.ones(3, 2)).item() == 0
    assert feature_matching_loss(real, torch.tensor([[1.0, 4.0]])).item() == pytest.approx(4.5)


def test_advantages() -> None:
    rewards = torch.tensor([[1.0, 3.0], [10.0, 10.0]])
    assert torch.allclose(advantages(rewards), torch.tensor([[-1.0, 1.0], [0, 0]]) * math.sqrt(2))
    assert torch.equal(advantages(torch.full((2, 3), 5.0)), torch.zeros(2, 3))


@given(st.floats(-100, 100), st.floats(0.01, 100))
def test_advantages_do_not_depend_on_the_scale_of_the_scores(shift: float, scale: float) -> None:
    rewards = torch.tensor([[1.0, 3.0, 2.0], [0.0, -1.0, 4.0]], dtype=torch.float64)
    assert torch.allclose(advantages(scale * rewards + shift), advantages(rewards), atol=1e-6)


def test_on_policy_gradient_is_minus_advantage_per_token() -> None:
    logprobs = torch.log(torch.tensor([[0.5, 0.2, 0.1], [0.9, 1.0, 1.0]])).requires_grad_()
    policy_loss(logprobs, MASK, torch.tensor([2.0, -1.0]), None, 0.2).backward()
    assert torch.allclose(logprobs.grad, torch.tensor([[-2 / 3] * 3, [1.0, 0, 0]]) / 2)


def test_off_policy_equals_on_policy_where_nothing_has_changed() -> None:
    old = torch.log(torch.tensor([[0.5, 0.2, 0.1], [0.9, 1.0, 1.0]]))
    grads = []
    for given_old in (None, old):
        logprobs = old.clone().requires_grad_()
        policy_loss(logprobs, MASK, torch.tensor([2.0, -1.0]), given_old, 0.2).backward()
        grads.append(logprobs.grad)
    assert torch.allclose(*grads)


def test_a_token_that_has_moved_far_enough_moves_no_further() -> None:
    old = torch.zeros(2, 3)
    moved = torch.log(torch.tensor([[1.5, 1.1, 0.5], [0.5, 1.0, 1.0]])).requires_grad_()
    policy_loss(moved, MASK, torch.tensor([1.0, -1.0]), old, 0.2).backward()
    # Good caption: risen by more than the clip stops, 1.1 and 0.5 go on rising; bad: stopped.
    assert moved.grad[0].tolist() == pytest.approx([0, -1.1 / 6, -0.5 / 6])
    assert moved.grad[1].abs().sum() == 0


def test_preference_loss_by_hand() -> None:
    logprobs = torch.tensor([[-10.0, -12.0, -11.0]])
    old = torch.tensor([[-11.0, -11.0, -11.0]])
    rewards = torch.tensor([[2.0, 1.0, 0.0]])
    weight = [math.exp(1) / (math.exp(1) + math.exp(2)), math.exp(2) / (math.exp(1) + math.exp(2))]
    margin = 1.0 - (weight[0] * -1.0 + weight[1] * 0.0)
    expected = -math.log(1 / (1 + math.exp(-0.5 * margin)))
    assert preference_loss(logprobs, old, rewards, 0.5).item() == pytest.approx(expected)


def test_preference_raises_the_best_and_lowers_the_rest() -> None:
    logprobs = torch.full((2, 3), -20.0, requires_grad=True)
    rewards = torch.tensor([[0.0, 1.0, 0.5], [3.0, -1.0, 2.0]])
    preference_loss(logprobs, logprobs.detach(), rewards, 0.2).backward()
    assert (logprobs.grad.argmin(dim=1) == rewards.argmax(dim=1)).all()
    assert (logprobs.grad > 0).sum() == 4
    assert torch.allclose(logprobs.grad.sum(dim=1), torch.zeros(2), atol=1e-7)
