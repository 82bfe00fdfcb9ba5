"""Stage `split`: which stories train, validate and test."""

import sys
from pathlib import Path

from pipeline.common.files import write_json
from pipeline.common.locks import claim_outputs
from pipeline.common.stage import run_stage
from pipeline.dataset.splits import PARTS, make_splits, story_lengths
from pipeline.params import load_params


def split(frames: Path, out: Path) -> None:
    """Write the story ids of train, val and test, and how many stories of each length they have."""
    params = load_params()
    claim_outputs(out)
    stories = story_lengths(frames)
    splits = make_splits(
        stories, params.context.k, params.split.test, params.split.val_fraction, params.seed
    )
    write_json(out, splits)
    sizes = ", ".join(f"{len(splits[name])} {name}" for name in PARTS)
    print(f"split: {sizes} of {len(stories)} stories", file=sys.stderr)


if __name__ == "__main__":
    run_stage(split)
