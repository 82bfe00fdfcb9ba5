"""The whole line by plain commands: DVC only spares what need not run again."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline import Storyteller
from pipeline.images.reader import Place, read_images
from pipeline.params.yaml import read_yaml

ROOT = Path(__file__).parents[2]

LINE = """
check
download --out raw
prepare --raw raw --frames frames.parquet --annotations annotations.parquet \
--summary summary.json --quarantine refused.jsonl --plots plots
split --frames frames.parquet --out splits.json
embed image --raw raw --frames frames.parquet --out images
embed text --frames frames.parquet --out texts
train INPUTS --out baseline --live live
captions INPUTS --model baseline --out captions.h5
adversarial INPUTS --captions captions.h5 --model baseline --out final --live live-adversarial
evaluate INPUTS --annotations annotations.parquet --raw raw --model final \
--metrics metrics.json --card card.md --out eval
report --eval eval --raw raw --metrics metrics.json --out report
""".replace("INPUTS", "--frames frames.parquet --splits splits.json --images images --texts texts")

SMALL: dict[str, dict[str, Any]] = {
    "dataset": {"sample": {"stories": 20, "seed": 1}},
    "fusion": {"d_model": 16, "layers": 1, "heads": 2},
    "prompt": {"words_per_caption": 3, "max_target_tokens": 16, "max_sequence_tokens": 64},
    "train": {"epochs": 1, "batch_size": 8},
    "generate": {"max_new_tokens": 4},
    "gan": {
        "variant": "hardneg",
        "epochs": 1,
        "cache": {"subset_stories": 4, "samples_per_story": 2},
    },
}


def merge(values: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict):
            merge(values[key], value)
        else:
            values[key] = value


@pytest.mark.slow
def test_every_stage_runs_without_dvc(
    tmp_path: Path, tiny_clip: Path, tiny_judge: Path, tiny_gpt2: Path
) -> None:
    params = read_yaml(ROOT / "params.yaml")
    merge(params, SMALL)
    params["clip"]["model"] = str(tiny_clip)
    params["decoder"]["model"] = str(tiny_gpt2)
    params["evaluate"]["judge"] = str(tiny_judge)
    YAML(typ="safe", pure=True).dump(params, tmp_path / "params.yaml")
    environment = {name: value for name, value in os.environ.items() if name[:4] != "DVC_"}
    for command in LINE.split("\n")[1:-1]:
        stage, *arguments = command.split()
        done = subprocess.run(
            [sys.executable, "-m", f"stages.{stage}", *arguments],
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert {"val", "test"} == metrics.keys()
    assert (tmp_path / "final" / "discriminator.safetensors").is_file()
    assert "<html" in (tmp_path / "report" / "index.html").read_text()
    teller = Storyteller.from_pretrained(tmp_path / "final")
    for line in (tmp_path / "eval" / "predictions.jsonl").read_text().splitlines():
        record = json.loads(line)
        places = [Place(**place) for place in record["context_images"]]
        pictures = list(read_images(tmp_path / "raw", places))
        assert teller.tell(pictures, record["context"]) == record["prediction"]
    assert not list(tmp_path.glob(".*.lock")), "a stage gives its outputs free"
