"""The discriminator: what it can learn, and that it is read back as it was."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from pipeline.adversarial.discriminator import Discriminator, load_discriminator, save_discriminator
from pipeline.common.errors import UserError
from pipeline.params import DiscriminatorParams


def params(**changes: Any) -> DiscriminatorParams:
    values: dict[str, Any] = {"widths": [32, 16], "dropout": 0.1, "spectral_norm": False}
    return DiscriminatorParams(**values | changes)


def unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape), dim=-1)


@pytest.mark.parametrize("dims", [(12, 12), (12, 10)])
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_a_score_and_features_for_each_pair(dims: tuple[int, int], spectral_norm: bool) -> None:
    discriminator = Discriminator(*dims, params(spectral_norm=spectral_norm)).eval()
    images, texts = unit(5, dims[0]), unit(5, dims[1])
    judged = discriminator(images, texts)
    assert judged.score.shape == (5,)
    assert judged.features.shape == (5, 16)
    alone = discriminator(images[2:3], texts[2:3])
    assert torch.allclose(alone.score, judged.score[2:3], atol=1e-6)


def test_it_learns_which_caption_belongs_to_which_image() -> None:
    """Pairs that only the match of the two tells apart, and new ones afterwards."""
    torch.manual_seed(0)
    discriminator = Discriminator(12, 12, params(widths=[64, 32]))
    optimiser = torch.optim.AdamW(discriminator.parameters(), lr=3e-3)
    for _ in range(300):
        images = unit(64, 12)
        texts = F.normalize(images + 0.1 * unit(64, 12), dim=-1)
        real = discriminator(images, texts).score
        fake = discriminator(images, texts.roll(1, dims=0)).score
        loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    discriminator.eval()
    images = unit(200, 12)
    assert (discriminator(images, images).score > 0).float().mean() > 0.9
    assert (discriminator(images, images.roll(1, dims=0)).score < 0).float().mean() > 0.9


def test_without_products_it_reads_the_two_embeddings_alone() -> None:
    reads = {
        products: Discriminator(12, 12, params(products=products)).hidden[0].in_features
        for products in (True, False)
    }
    assert reads == {True: 36, False: 24}


def test_spectral_norm_bounds_the_slope() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(12, 10, params(spectral_norm=True, dropout=0.0))
    for weight in discriminator.parameters():  # as if training had made it steep
        weight.data.mul_(50)
    for _ in range(50):  # the power iteration converges in train mode
        discriminator(unit(4, 12), unit(4, 10))
    discriminator.eval()
    images, texts = unit(64, 12), unit(64, 10)
    step = 1e-3 * unit(64, 12)
    rise = (discriminator(images + step, texts).score - discriminator(images, texts).score).abs()
    # The input is scaled by the root of its width; layers and LeakyReLU have slope 1 at most.
    assert (rise <= 1e-3 * 12**0.5 * 1.05).all()


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_read_back_as_it_was(tmp_path: Path, spectral_norm: bool) -> None:
    discriminator = Discriminator(12, 10, params(spectral_norm=spectral_norm))
    discriminator(unit(4, 12), unit(4, 10))
    path = tmp_path / "discriminator.safetensors"
    save_discriminator(path, discriminator)
    before = path.read_bytes()
    read = load_discriminator(path, torch.device("cpu"))
    images, texts = unit(6, 12), unit(6, 10)
    assert torch.equal(read(images, texts).score, discriminator.eval()(images, texts).score)
    save_discriminator(path, read)
    assert path.read_bytes() == before


def test_a_broken_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "discriminator.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"is broken .* dvc repro adversarial"):
        load_discriminator(path, torch.device("cpu"))
