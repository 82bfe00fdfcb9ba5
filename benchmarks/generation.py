"""Captions a second at full size: in batches, against one at a time by Transformers in float32."""

import argparse
from pathlib import Path

from benchmarks.baselines import one_at_a_time
from benchmarks.ratio import Ratio, interleaved, write_ratios
from benchmarks.workbench import Workbench
from pipeline.captioning.generate import generate_captions

ROUNDS = 3
TOKENS = 64
"""Random weights hardly ever end a caption: it gets all of them."""
ALONE = 2
"""Captions that the baseline is timed on."""


def main() -> None:
    """Time both and write the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    out = parser.parse_args().out
    bench = Workbench.open()
    params = bench.params.generate.model_copy(
        update={"strategy": "greedy", "max_new_tokens": TOKENS}
    )
    count = params.batch_size
    rows = [i % len(bench.data) for i in range(count)]
    plain = bench.plain_generator()
    contexts, alone = bench.data.contexts(rows), bench.data.contexts(range(ALONE))
    seconds = interleaved(
        ROUNDS,
        ours=lambda: generate_captions(
            bench.generator,
            bench.prompts,
            contexts,
            params,
            [0] * count,
        ),
        alone=lambda: one_at_a_time(plain, bench.prompts, alone, TOKENS),
    )
    ours, theirs = count / seconds["ours"], ALONE / seconds["alone"]
    figures = {"in batches, captions/s": ours, "one at a time, captions/s": theirs}
    what = f"generation in batches of {count} against one at a time"
    write_ratios(out, [Ratio(what, ours / theirs, 6, figures=figures)])


if __name__ == "__main__":
    main()
