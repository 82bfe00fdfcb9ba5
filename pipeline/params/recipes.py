"""Recipes: what others have set, as overlays of `params.yaml` that hold only what differs.

A recipe is `recipes/<name>.yaml`. Its first sentence, in a comment, says whose settings these are;
`extends: <name>` puts those of another recipe below its own.
"""

import difflib
import itertools
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError
from pipeline.params import Params, check_params
from pipeline.params.yaml import read_yaml

FOLDER = Path("recipes")
EXTENDS = "extends"
PLAIN = frozenset(string.ascii_letters + string.digits + "_-./:@")
"""What neither a shell nor Hydra, which reads options -S, takes for anything else."""


@dataclass(frozen=True)
class Recipe:
    """The settings of a recipe, with those of the one that it extends."""

    path: Path
    meaning: str
    """The first sentence of its file."""
    values: dict[str, Any]
    """Nested as in `params.yaml`."""

    def applied_to(self, params: Params) -> Params:
        """`params` with these settings in place of their own; UserError if that is not allowed."""
        return check_params(merged(params.model_dump(), self.values), str(self.path))

    def options(self) -> str:
        """Options for `dvc exp run`, on one line; a shell may split it at its blanks.

        Raises:
            UserError: a text among the values would have to be quoted.
        """
        return " ".join(f"-S {key}={self._shown(key, value)}" for key, value in leaves(self.values))

    def _shown(self, key: str, value: object) -> str:
        if isinstance(value, list):
            return f"[{','.join(self._shown(key, item) for item in value)}]"
        if value is None or isinstance(value, bool):
            return {None: "null", True: "true", False: "false"}[value]
        if isinstance(value, str) and not (value and PLAIN.issuperset(value)):
            raise UserError(
                f"{self.path}: {key} is {value!r:.60}, which an option cannot hold without quotes; "
                "set it in params.yaml instead"
            )
        return str(value)


def read_recipe(name: str, folder: Path = FOLDER) -> Recipe:
    """Read a recipe by its name; `Recipe.applied_to` checks it.

    Raises:
        UserError: there is none of that name, or its file holds no groups of keys.
    """
    path = _find(name, folder)
    values = _read(path)
    base = values.pop(EXTENDS, None)
    if base is not None:
        values = merged(_read(_find(str(base), folder)), values)
    return Recipe(path, _first_sentence(path), values)


def recipe_names(folder: Path = FOLDER) -> list[str]:
    """Names of all recipes, sorted; UserError where there are none."""
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    if not names:
        raise UserError(f"{folder}: no recipes here; run from the root of the repository")
    return names


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested `values` with those of `changes` in the place of theirs; neither is changed."""
    result = dict(values)
    for key, change in changes.items():
        below = result.get(key)
        if isinstance(below, dict) and isinstance(change, dict):
            change = merged(below, change)
        result[key] = change
    return result


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no group, with its dotted key."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _find(name: str, folder: Path) -> Path:
    names = recipe_names(folder)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        advice = f"did you mean {near[0]}?" if near else f"those are {', '.join(names)}"
        raise UserError(f"{folder} has no recipe {name!r:.60}; {advice}")
    return folder / f"{name}.yaml"


def _read(path: Path) -> dict[str, Any]:
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: must hold groups of keys, as params.yaml does")
    return values


def _first_sentence(path: Path) -> str:
    """Of the comment at the head of a file, without its full stop."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = " ".join(
        line.lstrip("# ") for line in itertools.takewhile(lambda line: line.startswith("#"), lines)
    )
    return comment.split(". ")[0].removesuffix(".")
