import pytest

from pipeline.common.errors import UserError, exit_cleanly, reason
from tests.processes import python


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
    code = "from pipeline.common.errors import exit_cleanly\nexit_cleanly(lambda: 1 / 0)"
    done = python("-c", code)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_a_long_message_keeps_where_it_is_and_what_to_do() -> None:
    text = str(UserError("params.yaml: " + "x" * 10_000 + "; write it again"))
    assert len(text) <= 500
    assert text.startswith("params.yaml: x")
    assert text.endswith("x; write it again")
    assert str(UserError("x" * 500)) == "x" * 500


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Could not take b'\\xff\\x00it\\'s' of type bytes.", "Could not take bytes of type bytes"),
        ("got b\"'\" and b'cut off " + "\\x00" * 10_000, "got bytes and bytes"),
        ("first line.\nsecond", "first line"),
        ("a bell \a and \x00", "a bell ? and ?"),
        ("", "ValueError"),
        ("word " * 1000, ("word " * 40)[:196] + " ..."),
        ("verb'atim' stays", "verb'atim' stays"),
    ],
)
def test_what_a_library_says_is_short_and_holds_no_bytes(said: str, kept: str) -> None:
    assert reason(ValueError(said)) == kept
