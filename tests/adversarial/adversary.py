"""Builds adversarial objectives over the toy world."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.adversarial.captions import (
    CachedCaptions,
    CaptionSource,
    NaiveCaptions,
    Refresh,
    Truth,
)
from pipeline.adversarial.discriminator import Discriminator
from pipeline.adversarial.objective import AdversarialObjective
from pipeline.adversarial.rewards import make_reward
from pipeline.adversarial.tripwires import Tripwires
from pipeline.captioning.generate import story_seed
from pipeline.captioning.sampler import Sampler
from pipeline.model.language_model import load_prompts
from pipeline.params import GanParams, GenerateParams, LossParams
from pipeline.training.supervised import SupervisedObjective
from tests.world import Toy, load_clip

LOSS = LossParams(alpha=0.5, lambda_=0.25)
PER_STORY = 3
CACHED = (0, 7, 14, 21)
"""Training windows that have cached captions, unless others are given."""


def gan(**changes: Any) -> GanParams:
    """Settings under which every step trains the discriminator and moves the decoder."""
    layers = {"widths": [16, 8], "dropout": 0.1, "spectral_norm": False, "batch_pairs": 8}
    values: dict[str, Any] = {
        "variant": "cached",
        "beta_embedding": 0.1,
        "beta_text": 0.5,
        "text_every_steps": 1,
        "d_steps": 1,
        "stop_if_nll_rises_by": 0.5,
        "discriminator": layers,
        "cache": {"subset_stories": 4, "samples_per_story": PER_STORY},
    }
    return GanParams(**values | changes)


def sampler(toy: Toy, clip: Path) -> Sampler:
    """A sampler of the toy generator with the tiny CLIP."""
    return Sampler(
        toy.generator,
        load_prompts(toy.generator.config),
        load_clip(clip),
        GenerateParams(max_new_tokens=12, top_p=1.0, batch_size=16),
    )


def make_objective(
    toy: Toy,
    clip: Path,
    params: GanParams,
    discriminator: nn.Module | None = None,
    cached: Sequence[int] = CACHED,
) -> AdversarialObjective:
    """An objective over all training windows of the toy world."""
    writer = sampler(toy, clip)
    torch.manual_seed(2)
    dim = toy.train.image.embeddings.shape[1]
    if discriminator is None and params.has_discriminator:
        discriminator = Discriminator(dim, dim, params.discriminator)
    return AdversarialObjective(
        SupervisedObjective(toy.generator, LOSS),
        discriminator,
        make_reward(params, discriminator, writer.clip),
        source(toy, writer, params, cached),
        toy.train,
        Tripwires(writer, toy.val),
        params,
    )


def source(toy: Toy, writer: Sampler, params: GanParams, cached: Sequence[int]) -> CaptionSource:
    truth = Truth(toy.generator, toy.train, 3) if params.true_captions else None
    if params.variant == "naive":
        return NaiveCaptions(writer, toy.train, PER_STORY, 5, truth)
    contexts = toy.train.contexts(cached)
    every = [i for i in range(len(cached)) for _ in range(PER_STORY)]
    seeds = [story_seed(i, "a sample") for i in range(len(every))]
    refresh = None
    if params.cache.refresh_epochs:
        refresh = Refresh(writer, contexts, PER_STORY, 5, params.cache.refresh_epochs)
    return CachedCaptions(
        writer.sample(contexts.take(every), seeds),
        torch.tensor(cached),
        PER_STORY,
        params.discriminator.batch_pairs,
        params.text_every_steps,
        refresh,
        params.text_stories,
        truth,
    )
