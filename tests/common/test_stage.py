"""A stage's signature is its command line."""

import subprocess
from pathlib import Path

import pytest

from pipeline.common.errors import UserError
from pipeline.common.parts import Part
from pipeline.common.stage import Inputs, call_stage
from tests.processes import python

CODE = """
from pathlib import Path
from pipeline.common.errors import UserError
from pipeline.common.stage import Inputs, run_stage

def train(inputs: Inputs, out: Path, steps: int) -> None:
    \"\"\"Learn from features alone.\"\"\"
    print(inputs, repr(out), steps + 1)
    if not steps:
        raise UserError("no step to take; ask for one")

run_stage(train)
"""
ARGUMENTS = "--frames f.parquet --splits s.json --images i --texts t --out a/b".split()


def train(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return python("-c", CODE, *arguments)


def test_options_are_the_parameters_and_the_fields_of_a_dataclass() -> None:
    done = train(*ARGUMENTS, "--steps", "2")
    assert (done.returncode, done.stderr) == (0, "")
    paths = map(Path, ("f.parquet", "s.json", "i", "t"))
    assert done.stdout == f"{Inputs(*paths)} {Path('a/b')!r} 3\n"


def test_a_user_error_is_one_line() -> None:
    done = train(*ARGUMENTS, "--steps", "0")
    assert (done.returncode, done.stderr) == (1, "error: no step to take; ask for one\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (ARGUMENTS, "the following arguments are required: --steps"),
        ([*ARGUMENTS, "--steps", "two"], "argument --steps: invalid int value: 'two'"),
        ([*ARGUMENTS, "--steps", "2", "--speed"], "unrecognized arguments: --speed"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments: list[str], sentence: str) -> None:
    done = train(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr and "Traceback" not in done.stderr


def test_help_says_what_the_docstrings_say() -> None:
    done = train("--help")
    assert done.returncode == 0
    assert "Learn from features alone." in done.stdout
    assert Inputs.__doc__ and Inputs.__doc__[:40] in done.stdout
    assert all(option in done.stdout for option in ("--frames", "--texts", "--out", "--steps"))


def test_of_several_functions_the_first_word_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    def image(raw: Path, out: Path) -> None:
        print("image", raw, out)

    def text(out: Path) -> None:
        print("text", out)

    call_stage(["image", "--raw", "r", "--out", "o"], image, text)
    call_stage(["text", "--out", "o"], image, text)
    assert capsys.readouterr().out == "image r o\ntext o\n"
    with pytest.raises(SystemExit):
        call_stage(["sound", "--out", "o"], image, text)
    assert "invalid choice: 'sound'" in capsys.readouterr().err


def test_a_parameter_with_a_default_may_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    def text(out: Path, part: Part | None = None, steps: int = 3) -> None:
        print(out, part, steps)

    call_stage(["--out", "o"], text)
    call_stage(["--out", "o", "--part", "2/5", "--steps", "4"], text)
    assert capsys.readouterr().out == "o None 3\no 2/5 4\n"
    with pytest.raises(UserError, match="'3' is no part of anything"):
        call_stage(["--out", "o", "--part", "3"], text)
