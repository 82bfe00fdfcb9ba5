"""What an epoch of each adversarial variant costs, against a supervised one on the same windows.

Runs in the folder of a finished full-size check, in a process of its own, and times whole optimiser
steps: forward, backward, update, and whatever the variant does besides.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from pipeline.captioning.contexts import Contexts
from pipeline.captioning.sampler import Sampler
from pipeline.device import make_deterministic, pick_device
from pipeline.features.clip import FrozenClip
from pipeline.features.store import FeatureStore
from pipeline.features.windows import make_windows
from pipeline.files import write_json
from pipeline.model.discriminator import Discriminator
from pipeline.model.folder import load_generator
from pipeline.model.language_model import load_prompts
from pipeline.params import GanParams, Params, load_params
from pipeline.stories.frames import read_frames
from pipeline.stories.splits import read_splits
from pipeline.training.adversarial import AdversarialObjective
from pipeline.training.caption_source import CachedCaptions, CaptionSource, NaiveCaptions
from pipeline.training.examples import FRAME_COLUMNS, Examples, make_examples
from pipeline.training.memory import keep_freed_memory
from pipeline.training.objective import Objective
from pipeline.training.optimiser import make_optimiser
from pipeline.training.supervised import SupervisedObjective
from pipeline.training.tripwires import Tripwires

BATCH = {"supervised": 16, "cached": 16, "hardneg": 16, "naive": 8}
"""Windows a step. Naive has four more sequences for each: with 16 they want 28 GB."""
STEPS = {"supervised": 2, "cached": 2, "hardneg": 2, "naive": 1}
"""Of two steps one moves the decoder by cached captions, as by default."""


def main() -> None:
    """Time every variant and write seconds per window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    out = parser.parse_args().out
    params = load_params()
    keep_freed_memory()
    make_deterministic(params.seed)
    device = pick_device()
    images = FeatureStore.open(Path("data/features/image"))
    texts = FeatureStore.open(Path("data/features/text"))
    generator = load_generator(Path("data/models/baseline"), device)
    prompts = load_prompts(generator.config)
    clip = FrozenClip.rebuild(texts.attributes, params.generate.batch_size)
    frames = read_frames(Path("data/stories/frames.parquet"), FRAME_COLUMNS)
    stories = read_splits(Path("data/stories/splits.json"))["train"]
    windows = make_windows(frames, stories, generator.config.k, "first")
    examples = make_examples(frames, windows, images, texts, prompts, device)
    contexts = Contexts.of(frames, windows, images, texts)
    # Random weights never end a caption: it gets as many tokens as the true ones have.
    tokens = round(float(examples.target.lengths.float().mean()))
    written = params.generate.model_copy(update={"max_new_tokens": tokens})
    sampler = Sampler(generator, prompts, clip, written)
    print(f"sampled captions of {tokens} tokens", flush=True)
    supervised = SupervisedObjective(generator, params.loss)

    seconds: dict[str, float] = {}
    for name in ("warm-up", *BATCH):
        objective: Objective = supervised
        if name in ("naive", "cached", "hardneg"):
            gan = params.gan.model_copy(update={"variant": name})
            discriminator = Discriminator(images.dim, texts.dim, gan.discriminator).to(device)
            watched = examples.batch(np.arange(1))
            tripwires = Tripwires(
                sampler, contexts.take([0]), watched["target_image"], watched["target_text"]
            )
            source = _source(gan, params, sampler, contexts, device)
            objective = AdversarialObjective(
                supervised, discriminator, source, examples, tripwires, gan
            )
        seconds[name] = _seconds_per_window(objective, examples, params, name)
        print(f"{name}: {seconds[name]:.2f} s per window", flush=True)
    del seconds["warm-up"]
    write_json(out, seconds)


def _source(
    gan: GanParams, params: Params, sampler: Sampler, contexts: Contexts, device: torch.device
) -> CaptionSource:
    """Captions of the variant; those of a cache are written here, outside the clock."""
    per_story = gan.cache.samples_per_story
    if gan.variant == "naive":
        return NaiveCaptions(sampler, contexts, per_story, params.seed)
    rows = [row for row in range(2) for _ in range(per_story)]
    samples = sampler.sample(contexts.take(rows), list(range(len(rows))))
    return CachedCaptions(
        samples,
        torch.arange(2, device=device),
        per_story,
        gan.discriminator.batch_pairs,
        gan.text_every_steps,
    )


def _seconds_per_window(
    objective: Objective, examples: Examples, params: Params, name: str
) -> float:
    size, steps = BATCH.get(name, 2), STEPS.get(name, 1)
    generator = objective.generator  # type: ignore[attr-defined]
    parameters = generator.trainable()
    optimiser = make_optimiser(parameters, params.train)
    generator.train()
    started = time.perf_counter()
    for step in range(steps):
        rows = np.arange(step * size, (step + 1) * size) % len(examples)
        losses = objective(examples.batch(rows))
        optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), params.train.max_grad_norm)
        optimiser.step()
        float(losses["loss"])  # waits for an accelerator
    return (time.perf_counter() - started) / (steps * size)


if __name__ == "__main__":
    main()
