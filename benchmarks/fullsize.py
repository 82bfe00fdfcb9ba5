"""The full-size check: every stage on real shapes, each in a process of its own.

Random weights in the shapes of ViT-B/32 and GPT-2 small, K = 4, stories of the sample with frames
240 pixels high. Nothing is learned; what is measured is that the line runs, how fast, and in how
much memory. The commands are those of dvc.yaml, run in a folder of their own.
"""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.stage_runs import ROOT, StageRun, commands, run_stage
from pipeline.params.yaml import read_yaml


def run_fullsize(folder: Path, stories: int = 30, layers: int = 12) -> dict[str, Any]:
    """Build the backbones and run the line once, with an encode cache of its own.

    Args:
        folder: an empty folder; about 2 GB are written at full size.
        stories: train and test together.
        layers: per tower and decoder; 12 is the real number, fewer are for trying this out.

    Returns:
        `stages` (name, seconds, peak_mb, said), `rates` (items per second), `stories`, `layers`.

    Raises:
        UserError: if a stage fails; its own message is on stderr.
    """
    # In a process of its own: this one must stay small, see `run_stage`.
    build = [sys.executable, "-m", "benchmarks.backbones", "--out", str(folder)]
    subprocess.run([*build, "--layers", str(layers)], cwd=ROOT, check=True)
    _write_params(folder, stories)
    home = folder / "home"
    runs = [run_stage(name, command, folder, home) for name, command in commands().items()]
    return {
        "stories": stories,
        "layers": layers,
        "stages": [asdict(run) for run in runs],
        "rates": _rates(folder, stories, runs),
    }


def _write_params(folder: Path, stories: int) -> None:
    """The repository's params.yaml with the README's settings for real backbones, for one epoch."""
    params = read_yaml(ROOT / "params.yaml")
    params["dataset"].update(source="sample", limit_stories=None)
    params["dataset"]["sample"]["stories"] = stories
    params["context"].update(k=4, windows="first")
    params["clip"].update(model="clip", revision=None)
    params["decoder"].update(model="gpt2", revision=None, precision="auto")
    params["train"].update(epochs=1, batch_size=8)
    params["generate"].update(strategy="greedy", max_new_tokens=64)
    params["gan"].update(variant="hardneg", epochs=1)
    params["gan"]["cache"].update(subset_stories=8, samples_per_story=4)
    params["evaluate"].update(judge="clip")  # its images are in the encode cache by then
    YAML(typ="safe", pure=True).dump(params, folder / "params.yaml")


def _rates(folder: Path, stories: int, runs: list[StageRun]) -> dict[str, float]:
    """Items per second by wall time, start-up of the process included."""
    import pyarrow.parquet as pq

    from pipeline.dataset.splits import read_splits

    seconds = {run.name: run.seconds for run in runs}
    frames = pq.read_metadata(folder / "data/stories/frames.parquet").num_rows
    splits = read_splits(folder / "data/stories/splits.json")
    evaluated = len(splits["val"]) + len(splits["test"])
    return {
        "embed_image, images/s": frames / seconds["embed_image"],
        "embed_text, captions/s": frames / seconds["embed_text"],
        "train, stories/s": len(splits["train"]) / seconds["train"],
        "evaluate, stories/s": evaluated / seconds["evaluate"],
        "whole line, stories/s": stories / sum(seconds.values()),
    }
