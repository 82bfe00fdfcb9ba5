"""`python -m benchmarks.scaling`: memory and time of the stages as stories grow 16-fold.

The embedded sample and its small backbones, once with few stories and once with 16 times as many,
each size in a folder and with an encode cache of its own. Small backbones on purpose: what grows
with the number of stories would be hard to see beside the weights of large ones. Small batches in
evaluate for the same reason: a batch of 32 is never full of the six test stories of the smaller
size, and what it takes to fill it would look like growth, though no further story adds to it.

The time per story is wall time over stories, so it includes the start of the process and its
imports, which more stories share. It shows whether a stage gets slower the more it has to do, not
how fast it is.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.ratio import Ratio, write_ratios
from benchmarks.stage_runs import ROOT, StageRun, commands, run_stage
from pipeline.common.errors import exit_cleanly
from pipeline.common.files import read_json
from pipeline.params.yaml import read_yaml

FACTOR = 16
BATCH_STORIES = 6
"""Of evaluate, in its captions and its likelihood: the test stories of the smaller size."""
MEASURED = ("download", "prepare", "embed_image", "embed_text", "evaluate")
BEFORE_TRAIN = ("download", "prepare", "split", "embed_image", "embed_text")


@dataclass(frozen=True)
class Size:
    """What was measured with one number of stories."""

    folder: Path
    stories: int
    runs: dict[str, StageRun]

    def stories_of(self, stage: str) -> int:
        """Stories that a stage handles: all of them, but val and test alone in evaluate."""
        if stage != "evaluate":
            return self.stories
        splits = read_json(self.folder / "data/stories/splits.json")
        return len(splits["val"]) + len(splits["test"])


def run_scaling(folder: Path, stories: int = 40) -> list[Ratio]:
    """Run both sizes and compare them.

    One model, trained for an epoch on the smaller size, writes the captions in both, so that
    evaluate does the same for a story.

    Args:
        folder: an empty folder.
        stories: of the smaller size, train and test together.

    Returns:
        Per stage, peak memory and time per story at 16 times the stories against once.

    Raises:
        UserError: if a stage fails; its own message is on stderr.
    """
    model = folder / "small/data/models/baseline"
    small = _run_size(folder / "small", stories, [*BEFORE_TRAIN, "train", "evaluate"], model)
    large = _run_size(folder / "large", stories * FACTOR, [*BEFORE_TRAIN, "evaluate"], model)
    return [
        *(_memory(stage, small, large) for stage in MEASURED),
        *(_time_per_story(stage, small, large) for stage in MEASURED),
    ]


def _run_size(folder: Path, stories: int, stages: list[str], model: Path) -> Size:
    folder.mkdir()
    _write_params(folder, stories)
    command = commands()
    command["evaluate"] += ["--model", str(model)]  # the last one counts
    runs = {name: run_stage(name, command[name], folder, folder / "home") for name in stages}
    return Size(folder, stories, runs)


def _write_params(folder: Path, stories: int) -> None:
    """The repository's params.yaml with full paths of its backbones, one epoch, small batches."""
    params = read_yaml(ROOT / "params.yaml")
    backbones = ROOT / "data/sample"
    params["dataset"].update(source="sample", limit_stories=None)
    params["dataset"]["sample"]["stories"] = stories
    params["context"].update(windows="first")
    params["clip"].update(model=str(backbones / "clip"), revision=None)
    params["decoder"].update(model=str(backbones / "gpt2"), revision=None)
    params["train"].update(epochs=1, batch_size=BATCH_STORIES)
    params["generate"].update(batch_size=BATCH_STORIES)
    params["evaluate"].update(judge=str(backbones / "judge"))
    YAML(typ="safe", pure=True).dump(params, folder / "params.yaml")


def _memory(stage: str, small: Size, large: Size) -> Ratio:
    once, more = small.runs[stage].peak_mb, large.runs[stage].peak_mb
    return Ratio(
        f"peak memory of {stage}, {FACTOR} times the stories",
        more / once,
        goal=1.15,
        at_least=False,
        figures={"once, MB": once, f"{FACTOR} times, MB": more},
    )


def _time_per_story(stage: str, small: Size, large: Size) -> Ratio:
    once, more = small.runs[stage].seconds, large.runs[stage].seconds
    few, many = small.stories_of(stage), large.stories_of(stage)
    return Ratio(
        f"time per story of {stage}, {FACTOR} times the stories",
        (more / many) / (once / few),
        goal=1.05,
        at_least=False,
        figures={
            **{"once, s": once, "once, stories": few},
            **{f"{FACTOR} times, s": more, f"{FACTOR} times, stories": many},
        },
    )


def main() -> None:
    """Measure, print and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stories", type=int, default=40, help="of the smaller size")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scaling-") as folder:
        ratios = run_scaling(Path(folder), arguments.stories)
    print("", *ratios, sep="\n")
    write_ratios(arguments.out, ratios)


if __name__ == "__main__":
    exit_cleanly(main)
