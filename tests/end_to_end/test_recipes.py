"""What `storycache recipe` prints is what `dvc exp run` takes, by a shell."""

import pytest

from pipeline.params import load_params
from pipeline.params.recipes import read_recipe

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dvc")]


@pytest.mark.thorough
def test_the_published_system_is_an_experiment(line):
    shipped = load_params(line.root / "params.yaml")
    command = "dvc exp run -n published $(storycache recipe published) train"
    output = line.run("sh", "-c", command)
    assert sorted(line.stages_run(output)) == ["embed_image", "embed_text", "split", "train"]
    recipe = read_recipe("published", line.root / "recipes")
    assert load_params(line.root / "params.yaml") == recipe.applied_to(shipped)
    assert "published" in line.dvc("exp", "show", "--csv")
