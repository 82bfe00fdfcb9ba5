"""Recipes: what they may hold, and that `dvc exp run -S` takes what they print."""

import shutil
from pathlib import Path

import pytest

from pipeline.common.errors import UserError
from pipeline.params import load_params
from pipeline.params.recipes import leaves, read_recipe, recipe_names
from pipeline.params.yaml import read_yaml

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"
NAMES = recipe_names(RECIPES)


@pytest.fixture
def write(tmp_path: Path):
    """Give a function that writes a recipe and returns its folder."""

    def write(text: str, name: str = "own") -> Path:
        (tmp_path / f"{name}.yaml").write_text(text)
        return tmp_path

    return write


@pytest.mark.parametrize("name", NAMES)
def test_it_is_allowed_and_says_only_what_differs(name: str) -> None:
    shipped = load_params(ROOT / "params.yaml")
    own = read_yaml(RECIPES / f"{name}.yaml")
    base = shipped
    if extended := own.pop("extends", None):
        base = read_recipe(extended, RECIPES).applied_to(shipped)
    before = dict(leaves(base.model_dump()))
    after = dict(leaves(read_recipe(name, RECIPES).applied_to(shipped).model_dump()))
    differing = {key for key in after if after[key] != before[key]}
    assert {key for key, _ in leaves(own)} == differing


@pytest.mark.parametrize("name", NAMES)
def test_dvc_reads_from_its_options_what_it_says(name: str, tmp_path: Path) -> None:
    """The function by which `dvc exp run -S` edits params.yaml, on what a shell makes of them."""
    from dvc.utils.hydra import apply_overrides

    file = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", file)
    recipe = read_recipe(name, RECIPES)
    words = recipe.options().split()
    assert set(words[::2]) == {"-S"}
    apply_overrides(file, words[1::2])
    assert load_params(file) == recipe.applied_to(load_params(ROOT / "params.yaml"))


def test_values_are_written_without_quotes(write) -> None:
    folder = write(
        "# Own settings. They are nobody's.\n"
        "gan: {discriminator: {widths: [8, 4]}}\nclip: {max_words: null}\nreport: {compare: [main]}"
    )
    recipe = read_recipe("own", folder)
    assert recipe.meaning == "Own settings"
    assert recipe.options() == (
        "-S gan.discriminator.widths=[8,4] -S clip.max_words=null -S report.compare=[main]"
    )


def test_a_recipe_stands_on_the_one_that_it_extends(write) -> None:
    write("loss: {alpha: 1.0, lambda: 2.0}\nseed: 3", "base")
    folder = write("extends: base\nloss: {alpha: 4.0}")
    assert read_recipe("own", folder).values == {"loss": {"alpha": 4.0, "lambda": 2.0}, "seed": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loss: {alhpa: 1.0}", "loss.alhpa (value 1.0) is not a known key; did you mean loss.al"),
        ("loss: {alpha: much}", 'loss.alpha is "much", but must be a number, 0 or more'),
        ("loss: 1", "loss is 1, but must be a group of the keys alpha, lambda"),
        ("extends: own", "extends (value"),
        ("fusion: {heads: 3}", "fusion.d_model is 256, but must be a multiple of fusion.heads"),
    ],
)
def test_a_wrong_key_or_value_is_one_sentence(write, text: str, said: str) -> None:
    folder = write(text)
    with pytest.raises(UserError) as raised:
        read_recipe("own", folder).applied_to(load_params(ROOT / "params.yaml"))
    assert str(raised.value).startswith(f"{folder / 'own.yaml'}: {said}")


def test_what_cannot_be_read_or_printed_is_one_sentence(write, tmp_path: Path) -> None:
    folder = write("- 1")
    with pytest.raises(UserError, match="must hold groups of keys"):
        read_recipe("own", folder)
    with pytest.raises(UserError, match=r"no recipe 'owm'; did you mean own\?"):
        read_recipe("owm", folder)
    with pytest.raises(UserError, match=r"no recipe '../own'; did you mean own\?"):
        read_recipe("../own", folder)
    write("evaluate: {clip_prefix: A photo depicts}")
    with pytest.raises(UserError, match=r"evaluate\.clip_prefix is 'A photo depicts', which an"):
        read_recipe("own", folder).options()
    with pytest.raises(UserError, match="run from the root of the repository"):
        read_recipe("own", tmp_path / "elsewhere")
