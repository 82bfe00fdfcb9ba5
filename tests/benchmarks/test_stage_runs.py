from pathlib import Path

import pytest

from benchmarks.stage_runs import LINE, ROOT, commands, run_stage
from pipeline.common.errors import UserError
from pipeline.repository.line import read_line
from tests.processes import python


def test_every_stage_of_the_line_has_its_command():
    assert set(LINE) == set(read_line(ROOT))
    assert list(commands()) == list(LINE)
    assert all(command[:2] == ["python", "-m"] for command in commands().values())
    assert not any("$" in word for command in commands().values() for word in command)


def test_a_run_has_the_given_home_and_keeps_its_last_line(tmp_path: Path):
    code = r"import os; print('10 %\r20 %'); print(os.environ['STORYCACHE_HOME'])"
    run = run_stage("speaker", ["python", "-c", code], tmp_path, tmp_path / "home")
    assert run.said == str(tmp_path / "home")
    assert run.seconds > 0
    assert "20 %" in (tmp_path / "speaker.out").read_text()


def test_a_failing_command_is_named_and_what_it_said_is_shown(tmp_path: Path, capsys):
    with pytest.raises(UserError, match="stage broken failed with status 3"):
        run_stage(
            "broken", ["python", "-c", "print('alas'); raise SystemExit(3)"], tmp_path, tmp_path
        )
    assert "alas" in capsys.readouterr().err


def test_peak_memory_is_that_of_the_command(tmp_path: Path):
    """Freed by the end, as it is the peak that counts; filled, as reserved pages take no memory.

    Measured by a process that is small, as `run_stage` wants it; this one has imported torch.
    """
    code = f"""
from pathlib import Path
from benchmarks.stage_runs import run_stage
for size in (0, 200):
    fill = ["python", "-c", f"b'x' * ({{size}} * 2**20)"]
    print(run_stage("fill", fill, Path({str(tmp_path)!r}), Path("home")).peak_mb)
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    empty, filled = (float(line) for line in done.stdout.splitlines()[1::2])
    assert empty < 100
    assert 200 <= filled < 300
