"""Locks between real processes: one at a time, freed by death, nothing left over."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.common.errors import UserError
from pipeline.common.locks import claim_folder, claim_outputs

ROOT = Path(__file__).resolve().parents[2]

HOLDS_OUTPUT = """
import sys
from pathlib import Path
from pipeline.common.locks import claim_outputs
claim_outputs(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
HOLDS_FOLDER = """
import sys
from pathlib import Path
from pipeline.common.locks import claim_folder
print(claim_folder(Path(sys.argv[1])).name, flush=True)
sys.stdin.read()
"""
COUNTS_ON = """
import sys, time
from pathlib import Path
from pipeline.common.locks import claim_outputs
counter = Path(sys.argv[1])
claim_outputs(counter, wait_seconds=60)
number = int(counter.read_text())
time.sleep(0.02)
counter.write_text(str(number + 1))
"""


def start(program: str, path: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def start_and_read(program: str, path: Path) -> "tuple[subprocess.Popen[str], str]":
    """It, and the first line that it prints."""
    process = start(program, path)
    assert process.stdout
    return process, process.stdout.readline().strip()


def test_an_output_has_one_writer_and_the_second_is_told_which(tmp_path):
    holder, _ = start_and_read(HOLDS_OUTPUT, tmp_path / "model")
    with pytest.raises(UserError) as told:
        claim_outputs(tmp_path / "model", wait_seconds=0.3)
    assert f"{tmp_path / 'model'} is being written by process {holder.pid} on" in str(told.value)
    claim_outputs(tmp_path / "other", wait_seconds=0)
    holder.communicate()
    claim_outputs(tmp_path / "model", wait_seconds=0)


def test_a_killed_holder_holds_nothing(tmp_path):
    holder, _ = start_and_read(HOLDS_OUTPUT, tmp_path / "model")
    holder.kill()
    holder.communicate()
    claim_outputs(tmp_path / "model", wait_seconds=5)


def test_a_link_to_a_folder_is_the_folder(tmp_path):
    (tmp_path / "clone").mkdir()
    (tmp_path / "link").symlink_to("clone")
    holder, _ = start_and_read(HOLDS_OUTPUT, tmp_path / "clone" / "model")
    with pytest.raises(UserError, match="is being written"):
        claim_outputs(tmp_path / "link" / "model", wait_seconds=0)
    holder.communicate()


def test_never_two_at_a_time_and_no_file_is_left(tmp_path):
    """Each reads a number and writes the next; two at a time would lose one."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    processes = [start(COUNTS_ON, counter) for _ in range(12)]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    assert counter.read_text() == "12"
    assert [path.name for path in tmp_path.iterdir()] == ["counter"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"data/model cannot be written \(.*\); make it a place"):
        claim_outputs(tmp_path / "data" / "model")


def test_runs_of_one_name_have_a_folder_each_and_find_that_of_a_killed_one(tmp_path):
    run = tmp_path / "training" / "key"
    first, of_first = start_and_read(HOLDS_FOLDER, run)
    second, of_second = start_and_read(HOLDS_FOLDER, run)
    assert (of_first, of_second) == ("key", "key.1")
    second.kill()
    second.communicate()
    third, of_third = start_and_read(HOLDS_FOLDER, run)
    assert of_third == "key.1"
    first.communicate()
    assert claim_folder(run).name == "key"
    third.communicate()
