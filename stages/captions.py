"""Stage `captions`: what the baseline writes for training stories, for the adversarial stage."""

import argparse
from pathlib import Path

import numpy as np

from pipeline.captioning.samples import Samples, write_samples
from pipeline.common.errors import UserError, exit_cleanly
from pipeline.common.home import storycache_home
from pipeline.common.locks import claim_outputs
from pipeline.compute.device import make_deterministic, pick_device
from pipeline.features.store import FeatureStore
from pipeline.params import load_params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="image features")
    parser.add_argument("--texts", type=Path, required=True, help="text features")
    parser.add_argument("--model", type=Path, required=True, help="baseline's folder")
    parser.add_argument("--out", type=Path, required=True, help="file of captions to write")
    paths = parser.parse_args()
    params = load_params()
    claim_outputs(paths.out)
    cache = params.gan.cache
    texts = FeatureStore.open(paths.texts)

    if not params.gan.reads_cache:
        write_samples(paths.out, Samples.none(texts.dim), {"fingerprint": ""})
        print(f"gan.variant {params.gan.variant} reads no captions, so none are written")
        return

    # Imported here: what the two other variants need not wait for.
    from pipeline.captioning.cache import CaptionCache, sample_once
    from pipeline.captioning.sampler import Sampler
    from pipeline.clip.frozen import FrozenClip
    from pipeline.dataset.story_dataset import Stories
    from pipeline.model.folder import load_generator
    from pipeline.model.language_model import load_prompts

    # --- which stories
    stories = Stories.open(paths.frames, paths.splits, paths.images, paths.texts)
    make_deterministic(params.seed)
    dims = (stories.images.dim, stories.texts.dim)
    generator = load_generator(paths.model, pick_device(), dims)
    windows = stories.windows("train", generator.config.k)
    if not len(windows):
        raise UserError("no training story has context.k + 1 frames: lower context.k")
    # The first so many of a permutation: a larger subset holds every smaller one.
    order = np.random.default_rng(params.seed).permutation(len(windows))
    chosen = sorted(order[: cache.subset_stories].tolist())
    contexts = windows.select(chosen).contexts()

    # --- their captions
    sampler = Sampler(
        generator,
        load_prompts(generator.config),
        FrozenClip.rebuild(texts.attributes),
        params.generate,
    )
    fingerprint = sampler.fingerprint()
    kept = CaptionCache(storycache_home() / "captions" / fingerprint)
    samples = sample_once(sampler, contexts, cache.samples_per_story, params.seed, kept)
    write_samples(paths.out, samples, {"fingerprint": fingerprint})
    print(
        f"{len(samples)} captions of {len(contexts)} stories in {paths.out}: "
        f"{samples.length.mean():.0f} tokens each, {samples.finished.mean():.0%} end by themselves"
    )


if __name__ == "__main__":
    exit_cleanly(main)
