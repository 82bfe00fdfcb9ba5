"""Stage `download`: stories from the sample, the Hub or parquet files into one raw folder."""

import argparse
import functools
import itertools
from pathlib import Path

from pipeline.errors import UserError, exit_cleanly
from pipeline.locks import claim_outputs
from pipeline.params import DatasetParams, load_params
from pipeline.progress import progress_bar
from pipeline.stories.schema import SPLITS, write_stories
from pipeline.stories.sources import Rows, hub_stories, parquet_stories
from pipeline.storyworld.rows import sample_rows


def open_source(dataset: DatasetParams) -> dict[str, Rows]:
    """Open the source that the params name: for each of its splits, what starts its stream."""
    if dataset.source == "hub":
        return hub_stories(dataset.hub.repo, dataset.hub.revision)
    if dataset.source == "parquet":
        if dataset.parquet.train is None:
            raise UserError("dataset.parquet.train is null; give it a folder, a file or a glob")
        return parquet_stories(dataset.parquet.train, dataset.parquet.test)
    sample = dataset.sample
    return {
        split: functools.partial(sample_rows, sample.stories, sample.seed, split)
        for split in SPLITS
    }


def main() -> None:
    """Write `OUT/train/*.parquet` and, where the source has one, `OUT/test/*.parquet`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="raw folder to write")
    arguments = parser.parse_args()
    dataset = load_params().dataset
    claim_outputs(arguments.out)

    opened = open_source(dataset)
    for split in SPLITS:
        rows = opened[split]() if split in opened else iter(())
        limited = itertools.islice(rows, dataset.limit_stories)
        written = write_stories(
            progress_bar(limited, f"download {split}", dataset.limit_stories, unit="story"),
            arguments.out / split,
        )
        if split == "train" and written == 0:
            raise UserError(f"dataset.source {dataset.source} gave no train stories")


if __name__ == "__main__":
    exit_cleanly(main)
