"""Stage `prepare`: raw stories checked and listed frame by frame."""

import sys
from pathlib import Path

from pipeline.common.locks import claim_outputs
from pipeline.common.stage import run_stage
from pipeline.params import load_params
from pipeline.prepare import catalogue


def prepare(
    raw: Path, frames: Path, annotations: Path, summary: Path, quarantine: Path, plots: Path
) -> None:
    """Write the table of frames and that of their annotations (parquet), the dataset table (JSON),
    what is refused (JSONL), and the folder of plot data."""
    dataset = load_params().dataset
    claim_outputs(frames, annotations)
    found = catalogue.prepare(
        raw,
        frames,
        annotations,
        summary,
        quarantine,
        plots,
        dataset.bad_frame,
        dataset.max_megapixels,
    )
    if warning := found.warning():
        print(f"warning: {warning}", file=sys.stderr)
    print(f"prepare: {found.sentence()}; see {quarantine}", file=sys.stderr)


if __name__ == "__main__":
    run_stage(prepare)
