"""This project's dvc.yaml against its code: DVC follows no imports, so they are compared here."""

import ast
import inspect
import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from pipeline.params import Params
from pipeline.params.errors import walk_fields
from pipeline.repository.deps import check_deps
from pipeline.repository.line import paths_of, read_line

ROOT = Path(__file__).parents[2]
STAGES = read_line(ROOT)
FIELDS = dict(walk_fields(Params))
Key = tuple[str, ...]
UNTRACKED: set[Key] = {("embed", "engine")}
"""What stages read and DVC shall not see: where work is done changes no byte of it."""

SLACK = {
    "check": "common/*",
    "download": "common/*",
    "prepare": "common/* images/reader",
    "split": "common/*",
    "embed_image": "common/checksums common/tensors compute/memory",
    "embed_text": "common/checksums common/tensors compute/memory",
    "train": "common/chunk* common/parts",
    "captions": "captioning/choose captioning/ngrams common/tensors compute/memory dataset/loaded "
    "images/reader model/losses",
    "adversarial": "captioning/cache captioning/choose captioning/pregenerate common/chunk* "
    "common/parts images/reader",
    "evaluate": "captioning/cache captioning/pregenerate captioning/sampler captioning/samples "
    "common/tensors compute/memory",
    "report": "common/*",
}
"""Modules of a listed folder that a stage does not import: an edit there runs it for nothing, and
is accepted. What may take hours, embedding and training, has little of it."""


def test_every_stage_lists_what_it_imports_and_nothing_else() -> None:
    found = {stage.name: stage for stage in check_deps(ROOT)}
    assert set(found) == set(STAGES)
    wrong = {
        name: (stage.missing, stage.needless) for name, stage in found.items() if not stage.right
    }
    assert not wrong, "storycache deps --write puts dvc.yaml right"


def test_the_slack_is_known_by_name() -> None:
    wrong = {}
    for stage in check_deps(ROOT):
        accepted = [f"pipeline/{name}.py" for name in SLACK[stage.name].split()]
        unknown = [m for m in stage.slack if not any(fnmatch(m, name) for name in accepted)]
        gone = [name for name in accepted if not any(fnmatch(m, name) for m in stage.slack)]
        if unknown or gone:
            wrong[stage.name] = {"new": unknown, "gone": gone}
    assert not wrong


def is_code(path: str) -> bool:
    return path.startswith(("pipeline/", "stages/"))


def module(stage: str) -> str:
    words = shlex.split(STAGES[stage]["cmd"])
    assert words[:2] == ["python", "-m"], f"{stage}: its command is not `python -m stages.X`"
    return words[2]


def params_keys(stage: str) -> set[Key]:
    """Without those of a stage that tracks the whole file: `params.yaml:`."""
    keys = [key for key in STAGES[stage].get("params", []) if isinstance(key, str)]
    return {tuple(key.split(".")) for key in keys}


def used_keys(code: str) -> set[Key]:
    """Keys and groups that a stage's script takes out of `load_params()`: `params.clip.model`,
    `params.only("train")`; of a property of a group, those that it reads."""
    tree = ast.parse(code)
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    held: dict[str, Key] = {"load_params()": ()}
    used: set[Key] = set()

    def key_of(node: ast.expr) -> tuple[Key, Key] | None:
        """The key that an expression stands for, and the attributes that follow it."""
        root, *names = ast.unparse(node).split(".")
        if root not in held:
            return None
        names = [*held[root], *(name.removesuffix("_") for name in names)]
        known = max(n for n in range(len(names) + 1) if not n or tuple(names[:n]) in FIELDS)
        return tuple(names[:known]), tuple(names[known:])

    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".only"):
            used |= {(word.value,) for word in node.args if isinstance(word, ast.Constant)}
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            key, rest = key_of(node.value) or ((), ("no key",))
            if not rest:
                held[node.targets[0].id] = key
                inner.add(id(node.value))
    for node in ast.walk(tree):
        read = isinstance(getattr(node, "ctx", None), ast.Load)
        if isinstance(node, ast.Attribute | ast.Name) and read and id(node) not in inner:
            key, rest = key_of(node) or ((), ())
            used |= set(read_by(key, rest)) if rest and key else {key}
    return used - {()}


def read_by(group: Key, rest: Key) -> Iterator[Key]:
    (name,) = rest
    kind = FIELDS[group].annotation
    source = inspect.getsource(getattr(kind, name).fget)
    yield from ((*group, read) for read in re.findall(r"self\.(\w+)", source))


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_keys_of_the_file(stage: str) -> None:
    unknown = params_keys(stage) - set(FIELDS)
    assert not unknown, f"params of stage {stage} in dvc.yaml: no such key {sorted(unknown)}"


@pytest.mark.parametrize("name", sorted({module(stage) for stage in STAGES}))
def test_params_are_those_that_the_script_reads(name: str) -> None:
    stages = [stage for stage in STAGES if module(stage) == name]
    listed = set().union(*(params_keys(stage) for stage in stages))
    used = used_keys((ROOT / f"{name.replace('.', '/')}.py").read_text()) - UNTRACKED

    def covers(above: Key, key: Key) -> bool:
        return key[: len(above)] == above

    add = sorted(".".join(key) for key in used if not any(covers(o, key) for o in listed))
    remove = sorted(
        ".".join(key) for key in listed if not any(covers(o, key) or covers(key, o) for o in used)
    )
    assert not add and not remove, f"params of {stages} in dvc.yaml: add {add}, remove {remove}"


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_names_what_dvc_tracks(stage: str) -> None:
    """The graph that DVC sees and the files that the code touches cannot drift apart."""
    words = shlex.split(STAGES[stage]["cmd"])[3:]
    named = {word for word in words if "/" in word or word.endswith(".json")}
    tracked = set(paths_of(STAGES[stage], "deps", "outs", "metrics", "plots"))
    assert named <= tracked, f"{stage}: not tracked {sorted(named - tracked)}"
    unnamed = {path for path in tracked if not is_code(path)} - named
    assert all(path.startswith("data/sample/") for path in unnamed), f"{stage}: {unnamed}"


def test_every_dependency_is_made_by_a_stage_or_in_git() -> None:
    stages = STAGES.values()
    made = {path for stage in stages for path in paths_of(stage, "outs", "metrics", "plots")}
    given = {path for stage in stages for path in paths_of(stage, "deps")} - made
    assert all(is_code(path) or path.startswith("data/sample/") for path in given), given
