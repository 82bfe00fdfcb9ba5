"""`storycache recipe`: settings of others, as options of `dvc exp run`."""

from typing import Annotated

import typer

from pipeline.params import load_params
from pipeline.params.recipes import read_recipe, recipe_names


def command(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="All, if left out.")] = None,
) -> None:
    """Print a recipe as options that set its parameters, or list the recipes.

    dvc exp run -n published $(storycache recipe published)

    A recipe is a file of recipes/: what it changes of params.yaml, and whose settings these are.
    """
    if name is not None:
        recipe = read_recipe(name)
        recipe.applied_to(load_params())
        print(recipe.options())
        return
    names = recipe_names()
    width = max(map(len, names))
    for each in names:
        print(f"{each.ljust(width)}  {read_recipe(each).meaning}")
