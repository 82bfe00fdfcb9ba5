import subprocess
import sys

import pytest

from pipeline.errors import UserError, exit_cleanly


def test_success_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    exit_cleanly(lambda: None)
    assert capsys.readouterr() == ("", "")


def test_user_error_is_one_line_and_exit_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise UserError("clip.model is missing; name one")

    with pytest.raises(SystemExit) as exited:
        exit_cleanly(main)
    assert exited.value.code == 1
    assert capsys.readouterr().err == "error: clip.model is missing; name one\n"


def test_interrupt_is_130_and_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as exited:
        exit_cleanly(main)
    assert exited.value.code == 130
    assert "run the same command to go on" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback() -> None:
    code = "from pipeline.errors import exit_cleanly\nexit_cleanly(lambda: 1 / 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr
