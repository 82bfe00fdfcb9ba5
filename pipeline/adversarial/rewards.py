"""What whole captions earn (`gan.reward`), from embeddings alone; the losses make use of it."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pipeline.adversarial.discriminator import PairScores
from pipeline.adversarial.losses import advantages
from pipeline.clip.frozen import FrozenClip
from pipeline.dataset.loaded import Batch
from pipeline.params import GanParams

Reward = Callable[[Batch, Tensor], Tensor]
"""From G windows and the CLIP text embeddings of S captions of each [G, S, D] to rewards [G, S]."""


def make_reward(
    gan: GanParams,
    discriminator: Callable[[Tensor, Tensor], PairScores] | None,
    clip: FrozenClip,
) -> Reward:
    """The reward that `gan.reward` names.

    Args:
        discriminator: scores as it is at each call; None where `gan` has none.
        clip: of the features; its temperature is read where images are compared.
    """

    def by_discriminator(batch: Batch, texts: Tensor) -> Tensor:
        assert discriminator is not None
        images = batch["target_image"].repeat_interleave(texts.shape[1], dim=0)
        scores = discriminator(images, texts.flatten(0, 1)).score
        return scores.detach().view(texts.shape[:2])

    if gan.reward == "discriminator":
        return by_discriminator
    scale = clip.text_tower().logit_scale

    def by_clip(batch: Batch, texts: Tensor) -> Tensor:
        return contrastive_reward(texts, batch["target_image"], batch["target_image_id"], scale)

    if gan.reward == "clip":
        return by_clip
    return lambda batch, texts: mixed_reward(
        by_clip(batch, texts), by_discriminator(batch, texts), gan.reward_share
    )


def contrastive_reward(
    texts: Float[Tensor, "g s dim"],
    images: Float[Tensor, "g dim"],
    image_id: Int64[Tensor, " g"],
    logit_scale: float,
) -> Float[Tensor, "g s"]:
    """How surely CLIP tells a caption's target image from the other ones, in nats.

    The log-odds of the own image: its logit less the log of the others' summed exponentials, which
    serve as baseline (Chaffin et al., 2024, arXiv 2402.13936). With the own one in the sum, the
    reward would level off as soon as the image is found. Their reward has the other direction too,
    captions told apart by an image; to the captions of one image, which have the same baseline
    there, it would add their cosine once more and nothing else.

    Args:
        texts: S captions of each of G images, unit norm. images: unit norm.
        image_id: equal where images are the same content; such a one is no other image.
        logit_scale: the inverse of CLIP's temperature.

    Returns:
        the bare logit for an image that is compared with no other.
    """
    logits = logit_scale * (texts @ images.T)  # [G, S, images]
    own = logits.diagonal(dim1=0, dim2=2).T  # [G, S]
    same = image_id[:, None] == image_id
    others = logits.masked_fill(same[:, None, :], -torch.inf).logsumexp(dim=2)
    return own - torch.where(others.isfinite(), others, 0.0)


def mixed_reward(
    clip: Float[Tensor, "g s"], discriminator: Float[Tensor, "g s"], share: float
) -> Float[Tensor, "g s"]:
    """CLIP's reward with a small share of the discriminator's, which minds how a person writes
    (Chaffin et al., 2024).

    Each is put in units of its own spread among the captions of a story, over the step, as
    `advantages` does: a discriminator's scores have no scale that lasts, and how much easier one
    story is than another must not decide what the share is a share of.
    """
    return (1 - share) * advantages(clip) + share * advantages(discriminator)
