"""`storycache deps` on small projects made up for it: what is found, and how dvc.yaml is mended."""

from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline.common.errors import UserError
from pipeline.repository.deps import StageDeps, check_deps
from pipeline.repository.rewrite import write_deps


def project(root: Path, dvc_yaml: str, files: dict[str, str] | None = None) -> Path:
    for name, text in {"dvc.yaml": dvc_yaml, **(files or {})}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).removeprefix("\n"))
    return root


def one(root: Path) -> StageDeps:
    (stage,) = check_deps(root)
    return stage


def stage(cmd: str = "python run.py", deps: str = "[run.py]") -> str:
    return f"stages:\n  a:\n    cmd: {cmd}\n    deps: {deps}\n"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import tools", {"tools/__init__.py"}),
        ("import tools.cut as c", {"tools/__init__.py", "tools/cut.py"}),
        ("from tools import cut", {"tools/__init__.py", "tools/cut.py"}),
        ("from tools.cut import slice_", {"tools/__init__.py", "tools/cut.py"}),
        ("from tools.deep import end", {"tools/__init__.py", "tools/deep/end.py", "alone.py"}),
        ("def f():\n    import alone", {"alone.py"}),
        ("try:\n    import alone\nexcept ImportError:\n    pass", {"alone.py"}),
        ("from importlib import import_module\nimport_module('alone')", {"alone.py"}),
        ("__import__('alone')", {"alone.py"}),
        ("if TYPE_CHECKING:\n    import alone", set()),
        ("if typing.TYPE_CHECKING:\n    import tools\nelse:\n    import alone", {"alone.py"}),
        ("import json, numpy, nothing_here", set()),
        ("import hollow", set()),
        ("import loop", {"loop.py", "back.py"}),
    ],
)
def test_imports_are_found_wherever_they_stand(tmp_path: Path, code: str, found: set[str]) -> None:
    files = {
        "run.py": code,
        "alone.py": "x = 1",
        "hollow/__init__.py": "\n",
        "tools/__init__.py": "y = 2",
        "tools/cut.py": "def slice_(): ...",
        "tools/deep/end.py": "from ... import alone",
        "loop.py": "import back",
        "back.py": "import loop",
    }
    assert set(one(project(tmp_path, stage(), files)).missing) == found


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("from . import b", {"pack/b.py"}),
        ("from .b import x", {"pack/b.py"}),
        ("from ..other import c", {"other/c.py"}),
        ("from .. import other", set()),
    ],
)
def test_relative_imports_are_found(tmp_path: Path, code: str, needed: set[str]) -> None:
    files = {"pack/a.py": code, "pack/b.py": "x = 1", "pack/__init__.py": "", "other/c.py": "c = 1"}
    root = project(tmp_path, stage("python -m pack.a", "[pack/a.py]"), files)
    assert set(one(root).missing) == needed


@pytest.mark.parametrize(
    "command",
    [
        "python run.py --out x",
        "python3.12 -u -W ignore run.py",
        "cd . && python run.py && echo done",
        "PYTHONHASHSEED=0 python run.py | tee log",
        "/usr/bin/python -m run",
        "[echo before, python run.py]",
        "python run.py;",
    ],
)
def test_the_script_is_found_in_a_command(tmp_path: Path, command: str) -> None:
    root = project(tmp_path, stage(command, "[]"), {"run.py": "import alone", "alone.py": "x = 1"})
    assert set(one(root).missing) == {"run.py", "alone.py"}


def test_a_command_that_runs_no_python_of_the_project_is_left_alone(tmp_path: Path) -> None:
    cmds = [
        "echo a",
        "python -c 'import alone'",
        "python -m json.tool x",
        "python gone.py",
        "./x.py",
    ]
    text = "stages:\n" + "".join(f"  s{i}: {{cmd: {cmd!r}}}\n" for i, cmd in enumerate(cmds))
    assert check_deps(project(tmp_path, text, {"alone.py": "x = 1"})) == []


def test_a_script_imports_from_its_own_folder_first(tmp_path: Path) -> None:
    files = {"src/run.py": "import near\nimport far", "src/near.py": "x = 1", "near.py": "x = 2"}
    root = project(
        tmp_path, stage("python src/run.py", "[src/run.py]"), {**files, "far.py": "x = 3"}
    )
    assert set(one(root).missing) == {"src/near.py", "far.py"}


def test_a_package_runs_its_main_and_a_module_its_packages(tmp_path: Path) -> None:
    files = {
        "app/__init__.py": "x = 1",
        "app/__main__.py": "import app.inner",
        "app/inner.py": "y = 1",
    }
    assert set(one(project(tmp_path, stage("python -m app", "[]"), files)).missing) == set(files)


def test_roots_and_exempt_of_pyproject(tmp_path: Path) -> None:
    pyproject = '[tool.storycache.deps]\nroots = ["src"]\nexempt = ["src/app/settings"]\n'
    files = {
        "pyproject.toml": pyproject,
        "run.py": "import app.work",
        "src/app/work.py": "import app.settings.own",
        "src/app/settings/own.py": "import app.behind",
        "src/app/behind.py": "x = 1",
    }
    assert set(one(project(tmp_path, stage(), files)).missing) == {"src/app/work.py"}
    project(tmp_path, stage(), {"pyproject.toml": "[tool.storycache.deps]\nexcempt = []\n"})
    with pytest.raises(UserError, match="excempt is no list of exempt or of roots"):
        check_deps(tmp_path)


def test_folders_count_as_what_lies_in_them_and_slack_is_named(tmp_path: Path) -> None:
    files = {
        "run.py": "import used.a",
        "used/a.py": "x = 1",
        "used/b.py": "x = 2",
        "unused/c.py": "x = 3",
        "data/table.csv": "1,2",
    }
    found = one(project(tmp_path, stage(deps="[run.py, used, unused, data, gone.py]"), files))
    assert found.missing == {}
    assert found.needless == ("unused", "gone.py")
    assert found.slack == ("used/b.py",)


def test_data_beside_the_modules_of_a_package_counts(tmp_path: Path) -> None:
    files = {
        "run.py": "import page.make",
        "page/__init__.py": "",
        "page/make.py": "x = 1",
        "page/style.css": "b {}",
        "page/templates/index.html": "<p>",
        "page/other/__init__.py": "",
        "page/other/note.txt": "not imported",
        "page/make.py~": "an editor's",
        "page/.gitignore": "/made.html",
        "page/made.html": "an output",
        ".dvcignore": "*~\n",
        "README": "beside a script is nothing of its own",
    }
    found = one(project(tmp_path, stage() + "    outs: [page/made.html]\n", files))
    assert set(found.missing) == {"page/make.py", "page/style.css", "page/templates/index.html"}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"run.py": "import importlib\nimportlib.import_module(name)"},
            "run.py, line 2: imports a mod",
        ),
        ({"run.py": "import a", "a.py": "def ("}, "a.py, line 1: not valid Python"),
        ({"run.py": "x = '\0'"}, "run.py.*: not valid Python"),
        ({"run.py": "", "pyproject.toml": "["}, "pyproject.toml cannot be read"),
        ({"dvc.yaml": "stages: [a"}, "dvc.yaml, line 1: not valid YAML"),
        ({"dvc.yaml": stage("python ${nothing}")}, "DVC cannot read it .*nothing"),
        ({"dvc.yaml": "just words"}, "dvc.yaml: DVC cannot read it"),
        ({"dvc.yaml": stage("python 'run.py"), "run.py": ""}, "cmd of a is no command line"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    tmp_path: Path, files: dict[str, str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        check_deps(project(tmp_path, stage(), files))
    with pytest.raises(UserError, match=r"dvc.yaml: no such file here"):
        check_deps(tmp_path / "elsewhere")


NOTED = """
# What the author says stays.
vars:
  - code: src   # in one place

stages:
  first:
    cmd: >-
      python src/run.py
      --out   ${code}.csv
    deps:
      - "${code}/run.py"
      # data
      - table.csv      # by hand
      - src/old.py     # gone with its entry
    outs: [src.csv]
  second:   {cmd: echo hi,   deps: [table.csv]}
"""


def test_writing_keeps_everything_else_as_it_was(tmp_path: Path) -> None:
    files = {
        "src/run.py": "import parts.a, parts.b, alone, half.c",
        "src/old.py": "x = 1",
        "src/alone.py": "x = 1",
        "src/parts/a.py": "x = 1",
        "src/parts/b.py": "x = 1",
        "src/half/c.py": "x = 1",
        "src/half/d.py": "x = 1",
        "table.csv": "1",
    }
    root = project(tmp_path, NOTED, files)
    (wrong,) = write_deps(root)
    assert wrong.needless == ("src/old.py",)
    added = "".join(f"      - src/{name}\n" for name in ("alone.py", "half/c.py", "parts"))
    wanted = dedent(NOTED).removeprefix("\n")
    wanted = wanted.replace("      - src/old.py     # gone with its entry\n", added)
    assert (root / "dvc.yaml").read_text() == wanted
    assert write_deps(root) == []
    assert (root / "dvc.yaml").read_text() == wanted


def test_in_a_flow_list_what_stays_keeps_its_line(tmp_path: Path) -> None:
    deps = "[gone.py, 'table.csv',\n           run.py,   old.py,\n           old/b.py, more.csv]"
    files = {"run.py": "import alone", "alone.py": "", "old.py": "x = 1", "old/b.py": "x = 1"}
    root = project(tmp_path, stage(deps=deps), {**files, "alone.py": "x = 1"})
    write_deps(root)
    wanted = "['table.csv',\n           run.py, more.csv, alone.py]"
    assert (root / "dvc.yaml").read_text() == stage(deps=wanted)


def test_a_flow_list_stays_one_and_is_wrapped(tmp_path: Path) -> None:
    names = [f"module_with_a_long_name_{i}" for i in range(6)]
    files = {"run.py": f"import {', '.join(names)}", **{f"{name}.py": "x = 1" for name in names}}
    root = project(tmp_path, stage(deps='["run.py", gone.py]'), files)
    write_deps(root)
    text = (root / "dvc.yaml").read_text()
    assert all(len(line) <= 100 for line in text.splitlines())
    assert text.splitlines()[3].startswith('    deps: ["run.py", module_with_a_long_name_0.py, ')
    assert text.splitlines()[4].startswith("           module_with_a_long_name_2.py, ")
    assert one(root).right and one(root).entries == ("run.py", *(f"{name}.py" for name in names))


@pytest.mark.parametrize(
    "text",
    [
        "stages:\n  a:\n    cmd: python run.py\n",
        "stages:\n  a:\n    cmd: python run.py\n    outs:\n    - o\n",
        "stages:\n  a:\n    outs: [o]\n    cmd: >-\n      python run.py\n      -v\n",
        "stages:\n  a:\n    cmd:\n      - python run.py\n      - echo\n    outs: [o]\n",
        "stages:\n  a:\n    cmd: python run.py\n    deps:\n    - gone.py\n    outs: [o]\n",
        "stages:\n  a:\n    cmd: python run.py\n    deps:\n    - gone.py",
        "stages:\n  a:\n    deps: []\n    cmd: python run.py\n",
        "stages:\n  a:\n    cmd: python ../run.py\n    wdir: sub\n    deps: [../alone.py]\n",
        "stages:\n  a:\n    foreach: [1, 2]\n    do:\n      cmd: python run.py ${item}\n",
        "stages:\n  a:\n    matrix: {i: [1, 2]}\n    cmd: python run.py ${item.i}\n    deps: [d]\n",
        "vars: [s: run]\nstages:\n  a:\n    cmd: python ${s}.py\n    deps: ['${s}.py', gone.py]\n",
    ],
)
def test_any_layout_of_deps_is_put_right(tmp_path: Path, text: str) -> None:
    root = project(tmp_path, text, {"run.py": "import alone", "alone.py": "x = 1", "d": "data"})
    (root / "sub").mkdir()
    before = YAML(typ="safe").load(text)["stages"]["a"]
    assert write_deps(root)
    assert all(stage.right for stage in check_deps(root))
    after = YAML(typ="safe").load(root / "dvc.yaml")["stages"]["a"]
    for inner in (before.get("do", before), after.get("do", after)):
        inner.pop("deps", None)
    assert after == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            stage(deps="[run.py,  # the script\n      gone.py]"),
            "a comment stands within the deps of a",
        ),
        (
            "stages:\n  z:\n    cmd: echo\n    deps: &d [gone.py]\n"
            "  a:\n    cmd: python run.py\n    deps: *d\n",
            "the deps of a do not all stand in it",
        ),
    ],
)
def test_what_would_be_lost_or_shared_is_not_edited(tmp_path: Path, text: str, said: str) -> None:
    root = project(tmp_path, text, {"run.py": "import alone", "alone.py": "x = 1"})
    with pytest.raises(UserError, match=said):
        write_deps(root)
    assert (root / "dvc.yaml").read_text() == text


MODULES = ["a/x.py", "a/y.py", "a/b/z.py", "c/u.py", "c/v.py", "w.py"]
LISTABLE = [*MODULES, "a", "a/b", "c", "run.py"]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    imports=st.sets(st.sampled_from(MODULES)),
    listed=st.lists(st.sampled_from(LISTABLE), unique=True),
    flow=st.booleans(),
)
def test_whatever_is_listed_writing_makes_it_right(
    tmp_path: Path, imports: set[str], listed: list[str], flow: bool
) -> None:
    """Nothing missing, nothing needless, what was of use kept in its order, and no slack added."""
    names = [module.removesuffix(".py").replace("/", ".") for module in sorted(imports)]
    text = (
        stage(deps=f"[{', '.join(listed)}]")
        if flow or not listed
        else stage(deps="".join(f"\n      - {entry}" for entry in listed))
    )
    code = "".join(f"import {name}\n" for name in names) or "pass\n"
    root = project(tmp_path, text, {"run.py": code, **dict.fromkeys(MODULES, "x = 1\n")})
    before = one(root)
    write_deps(root)
    after = one(root)
    assert after.right
    assert set(after.slack) == set(before.slack)
    kept = [entry for entry in after.entries if entry in listed]
    assert kept == [entry for entry in listed if entry in kept]
    dropped = set(listed) - set(kept)
    covered = [entry for entry in after.entries if entry not in listed]
    assert all(
        entry in before.needless or any(entry.startswith(f"{c}/") for c in covered)
        for entry in dropped
    )
