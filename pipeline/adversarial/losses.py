"""Losses of the adversarial stage, as functions of tensors."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F


def hinge_loss(real: Float[Tensor, " b"], fakes: list[Float[Tensor, " _"]]) -> Float[Tensor, ""]:
    """The discriminator's loss (Lim and Ye, 2017; Miyato et al., 2018).

    Args:
        real: scores of real pairs.
        fakes: scores of each kind of fake; kinds weigh the same however many pairs they have.
    """
    wrong = torch.stack([F.relu(1 + fake).mean() for fake in fakes]).mean()
    return F.relu(1 - real).mean() + wrong


def feature_matching_loss(
    real: Float[Tensor, "b width"], fake: Float[Tensor, "b_fake width"]
) -> Float[Tensor, ""]:
    """Squared distance between mean features of real and fake pairs, per feature (Salimans et al.,
    2016)."""
    return (real.mean(dim=0) - fake.mean(dim=0)).square().mean()


def advantages(rewards: Float[Tensor, "g s"]) -> Float[Tensor, "g s"]:
    """How much better than the mean of its story each sample is, in units of their spread.

    Args:
        rewards: of S samples of each of G stories.

    Returns:
        zero mean over a story's samples; divided by the root mean square over all, which
        keeps the step size the same while the discriminator's scores grow.
    """
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    return centred / centred.square().mean().sqrt().clamp_min(1e-6)


def policy_loss(
    logprobs: Float[Tensor, "n t"],
    mask: Bool[Tensor, "n t"],
    advantage: Float[Tensor, " n"],
    old: Float[Tensor, "n t"] | None,
    clip: float,
) -> Float[Tensor, ""]:
    """Policy gradient on whole captions, as a loss.

    On-policy (`old` is None) it is REINFORCE with a baseline (Williams, 1992; Rennie et al., 2017):
    -A log p. Off-policy it is PPO's clipped surrogate (Schulman et al., 2017) token by token, with
    the log-probabilities that the tokens were sampled with. Means over a caption's tokens,
    end-of-text included, then over captions, so that a long caption is not worth more.

    Args:
        logprobs: of each token under the present generator, with gradient.
        mask: false on padding. advantage: of each caption. old: log-probabilities as sampled.
        clip: how far from 1 a probability ratio counts.
    """
    if old is None:
        terms = advantage[:, None] * logprobs
    else:
        ratio = (logprobs - old).exp()
        clipped = ratio.clamp(1 - clip, 1 + clip)
        terms = torch.minimum(ratio * advantage[:, None], clipped * advantage[:, None])
    per_caption = (terms * mask).sum(dim=1) / mask.sum(dim=1)
    return -per_caption.mean()


def preference_loss(
    logprobs: Float[Tensor, "g s"],
    old: Float[Tensor, "g s"],
    rewards: Float[Tensor, "g s"],
    beta: float,
) -> Float[Tensor, ""]:
    """Best against rest (DiCO: Moratelli et al., 2024, arXiv 2408.14547), as its reference code.

    The log-ratio to the reference of the best of a story's samples is to exceed that of the
    others, which are weighted by a softmax over how much worse they are.

    Args:
        logprobs, old: of whole captions (sums over tokens) under the present generator, with
            gradient, and under the one that wrote them: S samples of each of G stories.
        rewards: of these captions. beta: inverse temperature of the log-ratios.
    """
    best = rewards.argmax(dim=1, keepdim=True)  # [G, 1]
    gap = rewards.gather(1, best) - rewards  # [G, S]; 0 for the best itself
    weight = gap.scatter(1, best, -torch.inf).softmax(dim=1)
    ratio = logprobs - old
    margin = ratio.gather(1, best).squeeze(1) - (weight * ratio).sum(dim=1)
    return -F.logsigmoid(beta * margin).mean()
