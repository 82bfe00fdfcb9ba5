"""A small generator on the tiny GPT-2."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.model.config import GeneratorConfig
from pipeline.model.generator import StoryGenerator
from pipeline.params import DecoderParams, FusionParams, PromptParams

DIM_IMAGE, DIM_TEXT, K = 12, 10, 3

MakeConfig = Callable[..., GeneratorConfig]


@pytest.fixture
def make_config(tiny_gpt2: Path) -> MakeConfig:
    """Builds a config; keyword arguments change single fields."""

    def make(
        position_embeddings: bool = True,
        tune: str = "frozen",
        precision: str = "float32",
        frame_prefix: bool = True,
        dropout: float = 0.1,
        model: str = str(tiny_gpt2),
        max_sequence_tokens: int = 256,
    ) -> GeneratorConfig:
        return GeneratorConfig(
            k=K,
            dim_image=DIM_IMAGE,
            dim_text=DIM_TEXT,
            fusion=FusionParams(
                d_model=32, heads=2, dropout=dropout, position_embeddings=position_embeddings
            ),
            decoder=DecoderParams(
                model=model,
                tune=tune,
                precision=precision,
                n_prefix=2,
                frame_prefix=frame_prefix,
            ),
            prompt=PromptParams(
                words_per_caption=5, max_target_tokens=64, max_sequence_tokens=max_sequence_tokens
            ),
        )

    return make


@pytest.fixture
def generator(make_config: MakeConfig) -> StoryGenerator:
    torch.manual_seed(0)
    return StoryGenerator.from_config(make_config())


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
