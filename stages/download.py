"""Stage `download`: stories from the sample, the Hub or files of one's own into one raw folder."""

import itertools
from pathlib import Path

from pipeline.common.errors import UserError
from pipeline.common.locks import claim_outputs
from pipeline.common.progress import progress_bar
from pipeline.common.stage import run_stage
from pipeline.params import load_params
from pipeline.sources.chosen import open_source
from pipeline.stories.origin import write_origin
from pipeline.stories.schema import SPLITS, write_stories


def download(out: Path) -> None:
    """Write `OUT/train/*.parquet`, `OUT/test/*.parquet` where there are any, and where from."""
    dataset = load_params().dataset
    claim_outputs(out)
    source = open_source(dataset.chosen)
    for split in SPLITS:
        rows = source.rows[split]() if split in source.rows else iter(())
        limited = itertools.islice(rows, dataset.limit_stories)
        bar = progress_bar(limited, f"download {split}", dataset.limit_stories, unit="story")
        written = write_stories(bar, out / split)
        if split == "train" and written == 0:
            raise UserError(f"dataset.source {dataset.source} gave no train stories")
    write_origin(out, source.origin())


if __name__ == "__main__":
    run_stage(download)
