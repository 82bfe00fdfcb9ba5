"""Stage `report`: the evaluation as one HTML file to look at."""

from pathlib import Path

from pipeline.common.locks import claim_outputs
from pipeline.common.stage import run_stage
from pipeline.params import load_params
from pipeline.report.report import PAGE_FILE, write_report


def report(eval: Path, raw: Path, metrics: Path, out: Path) -> None:
    """Write the page into the folder `out`, from the folder of the evaluation, the raw stories (for
    their pictures) and metrics.json."""
    wanted = load_params().report
    claim_outputs(out)
    megabytes = int(wanted.max_megabytes * 1e6)
    size = write_report(eval, raw, metrics, out, wanted.max_stories, megabytes, wanted.compare)
    print(f"report: {out / PAGE_FILE}, {size / 1e6:.1f} MB; open it in a browser")


if __name__ == "__main__":
    run_stage(report)
