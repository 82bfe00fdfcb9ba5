"""What captions earn, against numbers worked out by hand."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from pipeline.adversarial.rewards import contrastive_reward, make_reward, mixed_reward
from tests.adversarial.adversary import gan, make_objective
from tests.world import Toy, load_clip

IMAGES = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
TEXTS = torch.tensor([[[1.0, 0.0], [0.6, 0.8]], [[0.8, 0.6], [0.0, -1.0]]])


def test_contrastive_reward_by_hand() -> None:
    """Of two images, the logit of the own one less that of the other."""
    rewards = contrastive_reward(TEXTS, IMAGES, torch.tensor([4, 9]), 2.0)
    expected = [2 * (1.0 - 0.0), 2 * (0.6 - 0.8), 2 * (0.6 - 0.8), 2 * (-1.0 - 0.0)]
    assert rewards.flatten().tolist() == pytest.approx(expected)


def test_many_other_images_count_as_their_soft_maximum() -> None:
    images = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    texts = TEXTS[:1, :1].expand(3, 1, 2)
    rewards = contrastive_reward(texts, images, torch.arange(3), 5.0)
    assert rewards[0].item() == pytest.approx(5 - math.log(1 + math.exp(3)))
    assert rewards[1].item() == pytest.approx(0 - math.log(math.exp(5) + math.exp(3)))


def test_the_same_picture_elsewhere_is_no_other_image() -> None:
    twice, third = IMAGES[[0, 0, 1]], TEXTS[[0, 0, 1]]
    rewards = contrastive_reward(third, twice, torch.tensor([4, 4, 9]), 2.0)
    assert torch.allclose(rewards[0], contrastive_reward(TEXTS, IMAGES, torch.arange(2), 2.0)[0])


def test_an_image_without_others_leaves_the_logit() -> None:
    rewards = contrastive_reward(TEXTS, IMAGES, torch.tensor([7, 7]), 3.0)
    assert rewards.flatten().tolist() == pytest.approx([3.0, 1.8, 1.8, -3.0])


def test_mixed_reward_by_hand() -> None:
    """Both spread by 1 about the mean of one story and not at all in the other."""
    clip = torch.tensor([[1.0, 3.0], [0.0, 0.0]])
    scores = torch.tensor([[70.0, 50.0], [9.0, 9.0]])
    root = math.sqrt(2)  # in units of the root mean square over both stories
    mixed = mixed_reward(clip, scores, 0.25).flatten().tolist()
    assert mixed == pytest.approx([root * (0.25 - 0.75), root * (0.75 - 0.25), 0, 0])
    whole = mixed_reward(clip, scores, 1.0).flatten().tolist()
    assert whole == pytest.approx([root, -root, 0, 0])


@pytest.mark.parametrize("reward", ["discriminator", "clip", "mixed"])
def test_the_reward_that_is_asked_for(toy: Toy, tiny_clip: Path, reward: str) -> None:
    params = gan(reward=reward, reward_share=0.3, text_stories=4)
    objective = make_objective(toy, tiny_clip, params)
    discriminator = objective.discriminator.eval()
    captions = objective.source.cached
    batch = toy.train.batch(captions.windows.numpy())
    scores = torch.stack(
        [discriminator(batch["target_image"], captions.embeddings[:, i]).score for i in range(3)],
        dim=1,
    )
    scale = float(load_file(tiny_clip / "model.safetensors")["logit_scale"].exp())
    clip = contrastive_reward(
        captions.embeddings, batch["target_image"], batch["target_image_id"], scale
    )
    expected = {"discriminator": scores, "clip": clip, "mixed": mixed_reward(clip, scores, 0.3)}
    made = make_reward(params, discriminator, load_clip(tiny_clip))
    assert torch.allclose(made(batch, captions.embeddings), expected[reward], atol=1e-5)


def test_clip_alone_rewards_without_a_discriminator(toy: Toy, tiny_clip: Path) -> None:
    """A caption that is its own image is worth more than any other."""
    reward = make_reward(gan(reward="clip", text_stories=4), None, load_clip(tiny_clip))
    batch = toy.train.batch(torch.arange(0, 28, 7).numpy())
    images = batch["target_image"]
    texts = torch.stack([images, F.normalize(images.roll(1, dims=0) + images, dim=1)], dim=1)
    assert (reward(batch, texts)[:, 0] > reward(batch, texts)[:, 1]).all()
