"""A training step at full size: from cached features, on the fly, and the decoder alone."""

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.baselines import ON_THE_FLY_BATCH, OnTheFly, PlainClip, bare_step
from benchmarks.ratio import Ratio, interleaved, write_ratios
from benchmarks.workbench import Workbench
from pipeline.model.generator import StoryGenerator
from pipeline.training.optimiser import make_optimiser
from pipeline.training.supervised import SupervisedObjective

ROUNDS = 3
BATCH = 16


def main() -> None:
    """Time the three and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    out = parser.parse_args().out
    bench = Workbench.open()
    windows = bench.on_disk(ON_THE_FLY_BATCH)
    published = OnTheFly(
        _plain_generator(bench),
        bench.prompts,
        PlainClip(Path(bench.params.clip.model), bench.device),
        bench.params.loss,
        bench.params.train,
    )
    batch = bench.examples.batch(np.arange(BATCH))
    generator = bench.generator.train()
    objective = SupervisedObjective(generator, bench.params.loss)
    parameters = generator.trainable()
    optimiser = make_optimiser(parameters, bench.params.train)

    def cached() -> None:
        loss = objective(batch)["loss"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), bench.params.train.max_grad_norm)
        optimiser.step()
        loss.item()  # waits for an accelerator

    seconds = interleaved(
        ROUNDS,
        cached=cached,
        bare=lambda: bare_step(generator, batch),
        on_the_fly=lambda: published.step(windows),
    )
    ours, bare = seconds["cached"] / BATCH, seconds["bare"] / BATCH
    theirs = seconds["on_the_fly"] / ON_THE_FLY_BATCH
    figures = {"cached, s/story": ours, "bare, s/story": bare, "on the fly, s/story": theirs}
    write_ratios(
        out,
        [
            Ratio("training step, cached against on the fly", theirs / ours, 5, figures=figures),
            Ratio("training step against the bare decoder", bare / ours, 0.9, figures=figures),
        ],
    )


def _plain_generator(bench: Workbench) -> StoryGenerator:
    """The same generator on the language model as Transformers loads it."""
    from transformers import AutoModelForCausalLM

    lm = AutoModelForCausalLM.from_pretrained(bench.params.decoder.model, dtype=torch.float32)
    return StoryGenerator(bench.generator.config, lm).to(bench.device).train()


if __name__ == "__main__":
    main()
