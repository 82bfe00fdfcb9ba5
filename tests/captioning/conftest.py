"""A loud random generator and a few stories for it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.dataset.story_dataset import Contexts
from pipeline.model.config import GeneratorConfig
from pipeline.model.generator import StoryGenerator
from pipeline.model.language_model import load_prompts
from pipeline.model.prompt import PromptBuilder

K, DIM = 3, 24
WORDS = "the lamp is lit and Mara opens a door by the river while Tom hides the red box".split()


@pytest.fixture(scope="module")
def config(tiny_gpt2: Path) -> GeneratorConfig:
    return GeneratorConfig.model_validate(
        {
            "k": K,
            "dim_image": DIM,
            "dim_text": DIM,
            "fusion": {"d_model": 32, "layers": 1, "heads": 2},
            "decoder": {"model": str(tiny_gpt2), "n_prefix": 2},
            "prompt": {
                "words_per_caption": 12,
                "max_target_tokens": 30,
                "max_sequence_tokens": 300,
            },
        }
    )


@pytest.fixture(scope="module")
def generator(config: GeneratorConfig) -> StoryGenerator:
    """Random, with a louder language model and prefix, so that stories get different captions."""
    torch.manual_seed(0)
    generator = StoryGenerator.from_config(config).eval()
    with torch.no_grad():
        for parameter in generator.decoder.lm.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8.0)
        generator.decoder.word_scale.mul_(8.0)
    return generator


@pytest.fixture(scope="module")
def prompts(config: GeneratorConfig) -> PromptBuilder:
    return load_prompts(config)


@pytest.fixture(scope="module")
def contexts() -> Contexts:
    """Seven with captions of 1 to 12 words."""
    random = np.random.default_rng(0)
    images, texts = random.normal(size=(2, 7, K, DIM)).astype(np.float32)
    images /= np.linalg.norm(images, axis=-1, keepdims=True)
    texts /= np.linalg.norm(texts, axis=-1, keepdims=True)
    captions = [
        [" ".join(random.choice(WORDS, size=random.integers(1, 13))) for _ in range(K)]
        for _ in range(7)
    ]
    names = [f"story {i}" for i in range(7)]
    return Contexts(names, images, texts, captions, [bytes([i]) * 32 for i in range(7)])
