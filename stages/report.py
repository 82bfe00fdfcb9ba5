"""Stage `report`: the evaluation as one HTML file to look at."""

import argparse
from pathlib import Path

from pipeline.common.errors import exit_cleanly
from pipeline.common.locks import claim_outputs
from pipeline.params import load_params
from pipeline.report.report import PAGE_FILE, write_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eval", type=Path, required=True, help="folder of the evaluate stage")
    parser.add_argument("--raw", type=Path, required=True, help="raw stories, for the pictures")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.json")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    paths = parser.parse_args()
    params = load_params()
    claim_outputs(paths.out)

    size = write_report(
        paths.eval,
        paths.raw,
        paths.metrics,
        paths.out,
        params.report.max_stories,
        int(params.report.max_megabytes * 1e6),
        params.report.compare,
    )
    print(f"report: {paths.out / PAGE_FILE}, {size / 1e6:.1f} MB; open it in a browser")


if __name__ == "__main__":
    exit_cleanly(main)
