"""dvc.yaml against the code: DVC follows no imports, so what a stage depends on is checked here.

Too few `deps` leave stale results, too many run stages for nothing.
"""

import ast
import functools
import shlex
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.params import Params
from pipeline.params.errors import walk_fields

ROOT = Path(__file__).parents[2]
STAGES: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
TRACKED_AS_PARAMS = "pipeline/params/__init__.py"
"""Its values are tracked key by key; what it imports only puts errors into words."""


@functools.cache
def module_file(name: str) -> str | None:
    """Path of a module of ours from the root of the repository; None for anyone else's."""
    path = Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if (ROOT / candidate).is_file():
            return candidate.as_posix()
    return None


@functools.cache
def imports_of(file: str) -> frozenset[str]:
    """Files of ours that `file` imports when it runs, at its top or in a function."""
    imported: set[str] = set()
    skipped: set[ast.AST] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped.update(inner for part in node.body for inner in ast.walk(part))
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports are not followed here"
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module or ""]
        if node in skipped:
            continue
        for name in names:
            parts = name.split(".")
            for n in range(1, len(parts) + 1):
                imported.add(module_file(".".join(parts[:n])) or file)
    return frozenset(imported)


def reachable(start: str) -> set[str]:
    """Files of ours that run with the script `start`: itself, its package and all that they import,
    empty packages left out."""
    seen: set[str] = set()
    waiting = [start, (Path(start).parent / "__init__.py").as_posix()]
    while waiting:
        file = waiting.pop()
        if file in seen or file == TRACKED_AS_PARAMS:
            continue
        seen.add(file)
        waiting += imports_of(file)
    return {file for file in seen if (ROOT / file).read_text().strip()}


def module(stage: str) -> str:
    words = shlex.split(STAGES[stage]["cmd"])
    assert words[:2] == ["python", "-m"], f"{stage}: its command is not `python -m stages.X`"
    return words[2]


def script(stage: str) -> str:
    file = module_file(module(stage))
    assert file, f"{stage}: there is no module {module(stage)}"
    return file


def paths(stage: str, *sections: str) -> set[str]:
    """Paths in the given sections, options such as `cache: false` taken off."""
    entries = [entry for section in sections for entry in STAGES[stage].get(section, [])]
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


def is_code(path: str) -> bool:
    """Whether a dependency is a file of the project's source, templates and the like included."""
    return path.startswith(("pipeline/", "stages/"))


def params_keys(stage: str) -> set[tuple[str, ...]]:
    """Without those of a stage that tracks the whole file: `params.yaml:`."""
    keys = [key for key in STAGES[stage].get("params", []) if isinstance(key, str)]
    return {tuple(key.split(".")) for key in keys}


def used_keys(file: str) -> set[tuple[str, ...]]:
    """Keys that a stage script takes out of `load_params()`: `params.clip.model` and the like."""
    tree = ast.parse((ROOT / file).read_text())
    known = {tuple(part.removesuffix("_") for part in path): path for path, _ in FIELDS}
    held = {"load_params()": ()}
    used = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            root, *attributes = ast.unparse(node.value).split(".")
            if root in held:
                held[node.targets[0].id] = (*held[root], *attributes)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            root, *attributes = ast.unparse(node).split(".")
            key = (*held.get(root, ("",)), *(name.removesuffix("_") for name in attributes))
            if key in known:
                used.add(known[key])
    return {key for key in used if not any(o != key and o[: len(key)] == key for o in used)}


FIELDS = list(walk_fields(Params))


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_exactly_the_modules_that_the_stage_imports(stage):
    listed = {path for path in paths(stage, "deps") if path.endswith(".py")}
    needed = reachable(script(stage))
    add = "".join(f"\n  add     - {path}" for path in sorted(needed - listed))
    remove = "".join(f"\n  remove  - {path}" for path in sorted(listed - needed))
    assert listed == needed, f"deps of stage {stage} in dvc.yaml:{add}{remove}"


@pytest.mark.parametrize("stage", STAGES)
def test_deps_have_the_files_that_lie_beside_the_modules(stage):
    """A template or style sheet is read at run time, and nothing imports it."""
    folders = {(ROOT / file).parent for file in reachable(script(stage))}
    beside = {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in folder.iterdir()
        if path.is_file() and path.suffix not in (".py", ".pyc") and not path.name.startswith(".")
    }
    listed = {path for path in paths(stage, "deps") if is_code(path)}
    assert {path for path in listed if not path.endswith(".py")} == beside


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_keys_of_the_file(stage):
    unknown = params_keys(stage) - {path for path, _ in FIELDS}
    assert not unknown, f"params of stage {stage} in dvc.yaml: no such key {sorted(unknown)}"


@pytest.mark.parametrize("name", sorted({module(stage) for stage in STAGES}))
def test_params_are_those_that_the_script_reads(name):
    stages = [stage for stage in STAGES if module(stage) == name]
    listed = set().union(*(params_keys(stage) for stage in stages))
    used = used_keys(script(stages[0]))

    def covered(key, keys):
        return any(key[: len(o)] == o or o[: len(key)] == key for o in keys)

    add = sorted(".".join(key) for key in used if not covered(key, listed))
    remove = sorted(".".join(key) for key in listed if not covered(key, used))
    assert not add and not remove, f"params of {stages} in dvc.yaml: add {add}, remove {remove}"


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_names_what_dvc_tracks(stage):
    """The graph that DVC sees and the files that the code touches cannot drift apart."""
    words = shlex.split(STAGES[stage]["cmd"])[3:]
    named = {word for word in words if "/" in word or word.endswith(".json")}
    tracked = paths(stage, "deps", "outs", "metrics", "plots")
    assert named <= tracked, f"{stage}: not tracked {sorted(named - tracked)}"
    told = {path for path in tracked if not is_code(path)} - named
    backbones = {path for path in told if path.startswith("data/sample/")}
    assert told == backbones, f"{stage}: not handed to the command {sorted(told - backbones)}"


def test_every_dependency_is_made_by_a_stage_or_in_git():
    made = {path for stage in STAGES for path in paths(stage, "outs", "metrics", "plots")}
    given = {path for stage in STAGES for path in paths(stage, "deps")} - made
    assert all(is_code(path) or path.startswith("data/sample/") for path in given), given
