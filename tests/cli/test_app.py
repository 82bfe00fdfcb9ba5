"""The command as a whole: its table of contents, its exit codes, and what it does not import."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline.cli.app import COMMANDS, main
from pipeline.common.process import STOPPED

ROOT = Path(__file__).parents[2]


def storycache(*words: str, folder: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        capture_output=True,
        text=True,
    )


def test_help_is_a_table_of_contents() -> None:
    done = storycache("--help")
    assert done.returncode == 0
    _, contents = done.stdout.split("Commands:\n")
    lines = [line.split(maxsplit=1) for line in contents.splitlines()]
    assert dict(lines) == COMMANDS, "one line each"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_has_help(name: str) -> None:
    done = storycache(name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: storycache {name} ")


def test_the_project_installs_it_by_this_name() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"storycache": f"{main.__module__}:{main.__name__}"}


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, pipeline.cli.app as app\n"
        "sys.argv = ['storycache', '--help']\n"
        "try: app.main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'pyarrow', 'dvc', 'pydantic', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("\n[]\n"), done


def test_a_user_error_is_one_line_and_a_wrong_command_line_is_2(tmp_path: Path) -> None:
    done = storycache("deps", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr.startswith("error: dvc.yaml: no such file here")
        and done.stderr.count("\n") == 1
    )
    for words in (["depz"], ["deps", "--wirte"], ["compare", "A"]):
        done = storycache(*words, folder=tmp_path)
        assert done.returncode == 2 and "Traceback" not in done.stderr


def test_deps_says_what_is_wrong_and_puts_it_right(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text("import near\n")
    (tmp_path / "near.py").write_text("x = 1\n")
    (tmp_path / "old.py").write_text("x = 1\n")
    text = "stages:\n  a:\n    cmd: python run.py\n    deps: [run.py, old.py]\n"
    (tmp_path / "dvc.yaml").write_text(text)
    for words in ([], ["--check"]):
        done = storycache("deps", *words, folder=tmp_path)
        assert done.returncode == 1
        assert done.stdout.splitlines() == [
            "a:",
            "  missing   near.py, which run.py imports",
            "  needless  old.py",
        ]
        assert done.stderr == (
            "error: dvc.yaml: the deps of a are not what is imported there; "
            "storycache deps --write puts them right\n"
        )
    assert (tmp_path / "dvc.yaml").read_text() == text
    assert storycache("deps", "--write", folder=tmp_path).returncode == 0
    assert storycache("deps", folder=tmp_path).stdout == "a: exact\n"
    assert storycache("deps", "--quiet", folder=tmp_path).stdout == ""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_request_to_stop_is_one_sentence(tmp_path: Path) -> None:
    """A pipe that nobody writes to stands for work that takes long."""
    os.mkfifo(tmp_path / "a.jsonl")
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "compare", "a.jsonl", "a.jsonl"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (143, f"{STOPPED}\n")
