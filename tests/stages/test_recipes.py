"""Every recipe from features to scores, on the tests' world and with tiny models."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.common.stage import call_stage
from pipeline.params import load_params
from pipeline.params.recipes import merged, read_recipe, recipe_names
from pipeline.params.yaml import read_yaml
from stages.adversarial import adversarial
from stages.captions import captions
from stages.evaluate import evaluate
from stages.train import train
from tests.world import World

ROOT = Path(__file__).parents[2]

SMALL: dict[str, Any] = {
    "fusion": {"d_model": 16, "layers": 1, "heads": 2},
    "train": {"epochs": 1},
    "generate": {"max_new_tokens": 6},
    "gan": {"epochs": 1, "discriminator": {"widths": [16, 8]}, "cache": {"subset_stories": 4}},
    "evaluate": {"judge": None},
}

LINE = (
    (train, "--out baseline --live live"),
    (captions, "--model baseline --out captions.h5"),
    (adversarial, "--captions captions.h5 --model baseline --out final --live live-adversarial"),
    (
        evaluate,
        "--annotations {annotations} --raw {raw} --model final --metrics metrics.json "
        "--card card.md --out eval",
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names(ROOT / "recipes"))
def test_it_goes_through_the_line(
    name: str, world: World, tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = load_params(ROOT / "params.yaml")
    params = read_recipe(name, ROOT / "recipes").applied_to(shipped).model_dump()
    params = merged(merged(params, SMALL), {"decoder": {"model": str(tiny_gpt2)}})
    YAML(typ="safe", pure=True).dump(params, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    inputs = (
        f"--frames {world.frames} --splits {world.splits} "
        f"--images {world.images} --texts {world.texts} "
    )
    for stage, arguments in LINE:
        call_stage(
            (inputs + arguments.format(raw=world.raw, annotations=world.annotations)).split(), stage
        )
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["test"]["stories"] == 5
    config = read_yaml(tmp_path / "final" / "config.json")
    assert config["fusion"] == params["fusion"] and config["prompt"] == params["prompt"]
    against = (tmp_path / "final" / "discriminator.safetensors").is_file()
    assert against is (params["gan"]["variant"] != "none")
