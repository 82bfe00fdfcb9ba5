"""What an epoch of each adversarial variant costs, against a supervised one on the same windows.

Runs in the folder of a finished full-size check and times whole optimiser steps: forward, backward,
update, and whatever the variant does besides.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.ratio import Ratio, write_ratios
from benchmarks.workbench import Workbench
from pipeline.adversarial.captions import CachedCaptions, CaptionSource, NaiveCaptions
from pipeline.adversarial.discriminator import Discriminator
from pipeline.adversarial.objective import AdversarialObjective
from pipeline.adversarial.rewards import make_reward
from pipeline.adversarial.tripwires import Tripwires
from pipeline.captioning.sampler import Sampler
from pipeline.params import GanParams
from pipeline.training.objective import Objective
from pipeline.training.optimiser import make_optimiser
from pipeline.training.supervised import SupervisedObjective

BATCH = {"supervised": 16, "cached": 16, "hardneg": 16, "naive": 8}
"""Windows a step. Naive has four more sequences for each: with 16 they want 28 GB."""
STEPS = {"supervised": 2, "cached": 2, "hardneg": 2, "naive": 1}
"""Of two steps one moves the decoder by cached captions, as by default."""


def main() -> None:
    """Time every variant and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    out = parser.parse_args().out
    bench = Workbench.open()
    # Random weights never end a caption: it gets as many tokens as the true ones have.
    tokens = round(float(bench.data.target.lengths.float().mean()))
    written = bench.params.generate.model_copy(update={"max_new_tokens": tokens})
    sampler = Sampler(bench.generator, bench.prompts, bench.clip, written)
    print(f"sampled captions of {tokens} tokens", flush=True)
    supervised = SupervisedObjective(bench.generator, bench.params.loss)

    seconds: dict[str, float] = {}
    for name in ("warm-up", *BATCH):
        objective: Objective = supervised
        if name in ("naive", "cached", "hardneg"):
            objective = _adversarial(name, bench, sampler, supervised)
        seconds[name] = _seconds_per_window(objective, bench, name)
        print(f"{name}: {seconds[name]:.2f} s per window", flush=True)
    figures = {f"{name}, s/window": seconds[name] for name in BATCH}
    ratios = []
    for name in ("cached", "hardneg"):
        ratios += [
            Ratio(
                f"a naive epoch against a {name} one",
                seconds["naive"] / seconds[name],
                10,
                figures=figures,
            ),
            Ratio(
                f"a {name} epoch against a supervised one",
                seconds[name] / seconds["supervised"],
                1.25,
                at_least=False,
                figures=figures,
            ),
        ]
    write_ratios(out, ratios)


def _adversarial(
    variant: str, bench: Workbench, sampler: Sampler, supervised: SupervisedObjective
) -> AdversarialObjective:
    gan = bench.params.gan.model_copy(update={"variant": variant})
    dim_image, dim_text = bench.generator.config.dim_image, bench.generator.config.dim_text
    discriminator = Discriminator(dim_image, dim_text, gan.discriminator).to(bench.device)
    return AdversarialObjective(
        supervised,
        discriminator,
        make_reward(gan, discriminator, sampler.clip),
        _source(gan, bench, sampler),
        bench.data,
        Tripwires(sampler, bench.data, stories=1),
        gan,
    )


def _source(gan: GanParams, bench: Workbench, sampler: Sampler) -> CaptionSource:
    """Captions of the variant; those of a cache are written here, outside the clock."""
    per_story = gan.cache.samples_per_story
    if gan.variant == "naive":
        return NaiveCaptions(sampler, bench.data, per_story, bench.params.seed)
    rows = [row for row in range(2) for _ in range(per_story)]
    samples = sampler.sample(bench.data.contexts(rows), list(range(len(rows))))
    return CachedCaptions(
        samples,
        torch.arange(2, device=bench.device),
        per_story,
        gan.discriminator.batch_pairs,
        gan.text_every_steps,
    )


def _seconds_per_window(objective: Objective, bench: Workbench, name: str) -> float:
    size, steps = BATCH.get(name, 2), STEPS.get(name, 1)
    parameters = bench.generator.trainable()
    optimiser = make_optimiser(parameters, bench.params.train)
    bench.generator.train()
    started = time.perf_counter()
    for step in range(steps):
        rows = np.arange(step * size, (step + 1) * size) % len(bench.data)
        losses = objective(bench.data.batch(rows))
        optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), bench.params.train.max_grad_norm)
        optimiser.step()
        float(losses["loss"])  # waits for an accelerator
    return (time.perf_counter() - started) / (steps * size)


if __name__ == "__main__":
    main()
