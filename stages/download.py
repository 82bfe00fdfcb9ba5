"""Stage `download`: stories from the sample, the Hub or files of one's own into one raw folder."""

import argparse
import functools
import itertools
from pathlib import Path

from pipeline.common.errors import UserError, exit_cleanly
from pipeline.common.locks import claim_outputs
from pipeline.common.progress import progress_bar
from pipeline.params import DatasetParams, load_params
from pipeline.sources.folder import folder_stories
from pipeline.sources.hub import hub_stories
from pipeline.sources.jsonl import jsonl_stories
from pipeline.sources.parquet import parquet_stories
from pipeline.sources.source import Source
from pipeline.stories.origin import write_origin
from pipeline.stories.schema import SPLITS, write_stories
from pipeline.storyworld.rows import sample_rows


def open_source(dataset: DatasetParams) -> Source:
    """Open the source that the params name."""
    if dataset.source == "hub":
        return hub_stories(dataset.hub.repo, dataset.hub.revision, dataset.hub.config)
    if dataset.source == "parquet":
        if dataset.parquet.train is None:
            raise UserError("dataset.parquet.train is null; give it a folder, a file or a glob")
        return parquet_stories(dataset.parquet.train, dataset.parquet.test)
    if dataset.source == "folder":
        if dataset.folder.path is None:
            raise UserError("dataset.folder.path is null; give it a folder of stories")
        return folder_stories(dataset.folder.path)
    if dataset.source == "jsonl":
        if dataset.jsonl.path is None:
            raise UserError("dataset.jsonl.path is null; give it a file with a story in each line")
        return jsonl_stories(dataset.jsonl.path)
    sample = dataset.sample
    return Source(
        {
            split: functools.partial(sample_rows, sample.stories, sample.seed, split)
            for split in SPLITS
        },
        lambda: {"source": "sample", "stories": sample.stories, "seed": sample.seed},
    )


def main() -> None:
    """Write `OUT/train/*.parquet`, `OUT/test/*.parquet` where there are any, and where from."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="raw folder to write")
    arguments = parser.parse_args()
    dataset = load_params().dataset
    claim_outputs(arguments.out)

    source = open_source(dataset)
    for split in SPLITS:
        rows = source.rows[split]() if split in source.rows else iter(())
        limited = itertools.islice(rows, dataset.limit_stories)
        written = write_stories(
            progress_bar(limited, f"download {split}", dataset.limit_stories, unit="story"),
            arguments.out / split,
        )
        if split == "train" and written == 0:
            raise UserError(f"dataset.source {dataset.source} gave no train stories")
    write_origin(arguments.out, source.origin())


if __name__ == "__main__":
    exit_cleanly(main)
