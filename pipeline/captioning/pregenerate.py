"""What the baseline writes for training stories, before the adversarial training reads it."""

from pathlib import Path

import numpy as np

from pipeline.captioning.cache import CaptionCache, sample_once, write_missing
from pipeline.captioning.sampler import Sampler
from pipeline.captioning.samples import write_samples
from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import UserError
from pipeline.common.home import storycache_home
from pipeline.common.parts import Part
from pipeline.common.stage import Inputs
from pipeline.compute.device import make_deterministic, pick_device
from pipeline.dataset.story_dataset import Stories
from pipeline.model.folder import load_generator
from pipeline.model.language_model import load_prompts
from pipeline.params import GenerateParams


def write_captions(
    inputs: Inputs,
    model: Path,
    out: Path,
    stories: int,
    per_story: int,
    generate: GenerateParams,
    seed: int,
    part: Part | None = None,
) -> None:
    """Sample captions of training stories from the generator in the folder `model`, into `out`.

    Args:
        stories: how many of them, drawn by the seed.
        per_story: captions of each.
        part: bring this part into the caption cache, and write nothing to `out`.

    Raises:
        UserError: no training story is long enough.
    """
    # --- which stories
    data = Stories.open(inputs)
    make_deterministic(seed)
    generator = load_generator(model, pick_device(), (data.images.dim, data.texts.dim))
    windows = data.windows("train", generator.config.k)
    if not len(windows):
        raise UserError("no training story has context.k + 1 frames: lower context.k")
    # The first so many of a permutation: a larger subset holds every smaller one.
    order = np.random.default_rng(seed).permutation(len(windows))
    chosen = sorted(order[:stories].tolist())
    contexts = windows.select(chosen).contexts()

    # --- their captions
    sampler = Sampler(
        generator,
        load_prompts(generator.config),
        FrozenClip.rebuild(data.texts.attributes),
        generate,
    )
    fingerprint = sampler.fingerprint()
    kept = CaptionCache(storycache_home() / "captions" / fingerprint)
    if part is not None:
        keys, written = write_missing(sampler, contexts, per_story, seed, kept, part)
        there = CaptionCache(kept.folder).contains(keys).sum()  # by now, of other parts too
        print(
            f"captions: {written} written; part {part} of {len(keys)}, of which {there} are in the "
            "cache now"
        )
        return
    samples = sample_once(sampler, contexts, per_story, seed, kept)
    write_samples(out, samples, {"fingerprint": fingerprint})
    print(
        f"{len(samples)} captions of {len(contexts)} stories in {out}: "
        f"{samples.length.mean():.0f} tokens each, {samples.finished.mean():.0%} end by themselves"
    )
