"""A training step at full size: from cached features, on the fly, and the decoder alone."""

import argparse
from pathlib import Path

from benchmarks.baselines import ON_THE_FLY_BATCH, OnTheFly, PlainClip, bare_step
from benchmarks.ratio import Ratio, interleaved, write_ratios
from benchmarks.workbench import Workbench

ROUNDS = 3
BATCH = 16


def main() -> None:
    """Time the three and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    out = parser.parse_args().out
    bench = Workbench.open()
    batches = bench.data.shuffled(BATCH, bench.params.seed, 0)
    rows = max(batches, key=len)  # whole, and of windows of similar length, as in the loop
    windows = bench.on_disk(rows[:ON_THE_FLY_BATCH])
    published = OnTheFly(
        bench.plain_generator().train(),
        bench.prompts,
        PlainClip(Path(bench.params.clip.model), bench.device),
        bench.params.loss,
        bench.params.train,
    )
    batch = bench.data.batch(rows)
    step = bench.trainer()
    seconds = interleaved(
        ROUNDS,
        cached=lambda: step(batch),
        bare=lambda: bare_step(bench.generator, batch),
        on_the_fly=lambda: published.step(windows),
    )
    ours, bare = seconds["cached"] / len(rows), seconds["bare"] / len(rows)
    theirs = seconds["on_the_fly"] / ON_THE_FLY_BATCH
    figures = {"cached, s/story": ours, "bare, s/story": bare, "on the fly, s/story": theirs}
    write_ratios(
        out,
        [
            Ratio("training step, cached against on the fly", theirs / ours, 5, figures=figures),
            Ratio("training step against the bare decoder", bare / ours, 0.9, figures=figures),
        ],
    )


if __name__ == "__main__":
    main()
