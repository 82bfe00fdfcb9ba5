"""What `make` does besides calling the tools, in a folder of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.repository.line import paths_of, read_line

ROOT = Path(__file__).resolve().parents[1]
IN_GIT = {"metrics.json"}
"""Outputs that git keeps, and `make clean` leaves alone."""

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


def outs() -> set[str]:
    stages = read_line(ROOT).values()
    return {out for stage in stages for out in paths_of(stage, "outs", "metrics")}


def test_clean_removes_all_that_dvc_made_and_no_more(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    made = outs() - IN_GIT | {".dvc/cache", ".dvc/tmp", "dvc_plots", "data/.raw.lock", ".venv"}
    kept = {"data/sample/clip", "data/mine/train.parquet", ".dvc/config", "dvc.lock", *IN_GIT}
    for name in made | kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == kept | {"Makefile"}


LOCK = """\
schema: '2.0'
stages:
  split:
    cmd: python -m stages.split
    deps:
    - path: data/stories/frames.parquet
      hash: md5
      md5: 0123456789abcdef0123456789abcdef
      size: 12
    outs:
    - path: data/stories/splits.json
      hash: md5
      md5: 0123456789abcdef0123456789abcdef
      size: 12
"""


def after_kill(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.repository.after_kill"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize(
    "content", ["", LOCK[:100], LOCK[: LOCK.index("    - path")], "- a list\n", "\0" * 4096, "{"]
)
def test_a_dvc_lock_that_dvc_would_refuse_is_set_aside(tmp_path, content):
    (tmp_path / "dvc.lock").write_text(content)
    assert "dvc.lock was cut short when DVC was killed" in after_kill(tmp_path)
    assert not (tmp_path / "dvc.lock").exists()
    assert (tmp_path / "dvc.lock.broken").read_text() == content
    assert after_kill(tmp_path) == ""


def test_one_that_dvc_reads_stays(tmp_path):
    (tmp_path / "dvc.lock").write_text(LOCK)
    assert after_kill(tmp_path) == ""
    assert (tmp_path / "dvc.lock").read_text() == LOCK


def test_dvcs_list_of_who_reads_and_writes_is_set_aside_too(tmp_path):
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / ".dvc/tmp/rwlock").write_text("")
    assert ".dvc/tmp/rwlock was cut short" in after_kill(tmp_path)
    assert not (tmp_path / ".dvc/tmp/rwlock").exists()


def test_a_run_that_dvc_did_not_get_to_note_down_is_taken_out_of_its_run_cache(tmp_path):
    """DVC fails over its empty folder: join() argument must be str, not 'NoneType'."""
    runs = tmp_path / ".dvc/cache/runs"
    (runs / "ab" / "abc").mkdir(parents=True)
    (runs / "ab" / "abd").mkdir()
    (runs / "ab" / "abd" / "run").write_text("cmd: x\n")
    assert after_kill(tmp_path) == ""
    assert [path.name for path in (runs / "ab").iterdir()] == ["abd"]


def test_nothing_is_touched_while_dvc_is_at_work(tmp_path):
    """It may be writing the very file just then."""
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text("")
    with (tmp_path / ".dvc/tmp/lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert after_kill(tmp_path) == ""
        assert (tmp_path / "dvc.lock").exists()
    assert "dvc.lock was cut short" in after_kill(tmp_path)
