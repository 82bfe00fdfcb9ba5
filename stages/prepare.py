"""Stage `prepare`: raw stories checked and listed frame by frame."""

import argparse
import sys
from pathlib import Path

from pipeline.common.errors import exit_cleanly
from pipeline.common.locks import claim_outputs
from pipeline.params import load_params
from pipeline.prepare.catalogue import prepare


def main() -> None:
    """Write the table of frames, the dataset summary and its plots, and the quarantine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="raw folder to read")
    parser.add_argument("--frames", type=Path, required=True, help="table of frames (parquet)")
    parser.add_argument("--summary", type=Path, required=True, help="dataset table (JSON)")
    parser.add_argument("--quarantine", type=Path, required=True, help="what is refused (JSONL)")
    parser.add_argument("--plots", type=Path, required=True, help="folder of plot data (JSON)")
    arguments = parser.parse_args()
    dataset = load_params().dataset
    claim_outputs(arguments.frames)

    summary = prepare(
        arguments.raw,
        arguments.frames,
        arguments.summary,
        arguments.quarantine,
        arguments.plots,
        dataset.bad_frame,
        dataset.max_megapixels,
    )
    if warning := summary.warning():
        print(f"warning: {warning}", file=sys.stderr)
    print(f"prepare: {summary.sentence()}; see {arguments.quarantine}", file=sys.stderr)


if __name__ == "__main__":
    exit_cleanly(main)
