"""A small generator on the tiny GPT-2."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from pipeline.model.config import GeneratorConfig
from pipeline.model.generator import StoryGenerator
from tests.world import tiny_config, tiny_generator

DIM_IMAGE, DIM_TEXT, K = 12, 10, 3

MakeConfig = Callable[..., GeneratorConfig]


@pytest.fixture
def make_config(tiny_gpt2: Path) -> MakeConfig:
    """Builds a config; keyword arguments name groups of which settings are changed."""
    return partial(tiny_config, tiny_gpt2, k=K, dims=(DIM_IMAGE, DIM_TEXT))


@pytest.fixture
def generator(make_config: MakeConfig) -> StoryGenerator:
    return tiny_generator(make_config())


@pytest.fixture
def contexts() -> tuple[torch.Tensor, torch.Tensor]:
    """Image and text embeddings of four contexts, unit norm."""
    random = torch.Generator().manual_seed(1)
    images = torch.randn(4, K, DIM_IMAGE, generator=random)
    texts = torch.randn(4, K, DIM_TEXT, generator=random)
    return torch.nn.functional.normalize(images, dim=-1), torch.nn.functional.normalize(
        texts, dim=-1
    )


def padded(rows: list[list[int]], pad: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """ids and mask, padded on the right by `pad`."""
    length = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows]).bool()
    return ids, mask


@pytest.fixture
def tokens() -> dict[str, torch.Tensor]:
    """Four prompts and targets of unequal lengths."""
    prompt_ids, prompt_mask = padded([[5, 6, 7], [8], [9, 10, 11, 12, 13], [14, 15]])
    target_ids, target_mask = padded([[20, 21], [22, 23, 24, 25], [26], [27, 28, 29]])
    return {
        "prompt_ids": prompt_ids,
        "prompt_mask": prompt_mask,
        "target_ids": target_ids,
        "target_mask": target_mask,
    }
