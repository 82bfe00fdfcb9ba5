"""A loud random generator and a few stories for it."""

from typing import Any

import numpy as np
import pytest

from pipeline.dataset.story_dataset import Contexts
from pipeline.model.language_model import load_prompts
from pipeline.params import GenerateParams
from tests.world import DIM, tiny_config, tiny_generator

K = 3
WORDS = "the lamp is lit and Mara opens a door by the river while Tom hides the red box".split()


def settings(**changes: Any) -> GenerateParams:
    return GenerateParams(**{"max_new_tokens": 24, "batch_size": 3} | changes)


@pytest.fixture(scope="module")
def config(tiny_gpt2):
    return tiny_config(tiny_gpt2, K, prompt={"words_per_caption": 12})


@pytest.fixture(scope="module")
def generator(config):
    """Loud, so that stories get different captions."""
    return tiny_generator(config, loudness=8.0).eval()


@pytest.fixture(scope="module")
def prompts(config):
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
