"""Stage `split`: which stories train, validate and test."""

import argparse
import sys
from pathlib import Path

from pipeline.common.errors import exit_cleanly
from pipeline.common.files import write_json
from pipeline.common.locks import claim_outputs
from pipeline.dataset.splits import PARTS, make_splits, story_lengths
from pipeline.params import load_params


def main() -> None:
    """Write the story ids of train, val and test, and how many stories of each length they have."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=Path, required=True, help="table of frames to read")
    parser.add_argument("--out", type=Path, required=True, help="splits to write (JSON)")
    arguments = parser.parse_args()
    params = load_params()
    claim_outputs(arguments.out)

    stories = story_lengths(arguments.frames)
    splits = make_splits(
        stories, params.context.k, params.split.test, params.split.val_fraction, params.seed
    )
    write_json(arguments.out, splits)
    sizes = ", ".join(f"{len(splits[name])} {name}" for name in PARTS)
    print(f"split: {sizes} of {len(stories)} stories", file=sys.stderr)


if __name__ == "__main__":
    exit_cleanly(main)
