"""How a process ends: at a signal, and with the one that it works for. All of it real processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.params.yaml import read_yaml
from tests.processes import ROOT, write_params

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="signals of POSIX"),
]

STOPPED = "stopped: finished work is kept; run the same command to go on"
DOWNLOAD = [sys.executable, "-m", "stages.download", "--out", "raw"]
SECONDS = 60.0
"""For what takes one or two on a quiet machine."""

RUNS_UNTIL_KILLED = """
import subprocess, sys, time
print(subprocess.Popen(sys.argv[1:]).pid, flush=True)
time.sleep(600)
"""
"""Stands for DVC: it starts a command, says its number, and waits."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where `download` draws stories for minutes, in processes of its own."""
    sample = read_yaml(ROOT / "params.yaml")["dataset"]["sample"]
    write_params(tmp_path, dataset={"sample": sample | {"stories": 5000}})
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command there, in a process group of its own that ends with the test."""
    started = []

    def run(command: list[str], **environment: str) -> subprocess.Popen[str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=inherited | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(reached: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < give_up, f"never: {what}"
        time.sleep(0.01)


def gone(*processes: psutil.Process) -> Callable[[], bool]:
    """Whether they have ended, collected by their parent or not."""
    return lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def drawing(stage: psutil.Process) -> list[psutil.Process]:
    """All processes of a `download` at work; waits until they draw."""
    folder = Path(stage.cwd())
    wait_for(lambda: any(folder.glob("raw/train/.*.partial")), "a first story")
    return [stage, *stage.children(recursive=True)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("whole_group", [False, True])
def test_a_signal_ends_a_stage_and_its_workers_with_one_sentence(start, number, whole_group):
    process = start(DOWNLOAD)
    family = drawing(psutil.Process(process.pid))
    assert len(family) > 2, "it draws in processes of its own"
    os.killpg(process.pid, number) if whole_group else process.send_signal(number)
    _, errors = process.communicate(timeout=SECONDS)  # hangs while anyone holds its output open
    assert process.returncode == 128 + number
    assert errors.splitlines().count(STOPPED) == 1
    assert "Traceback" not in errors
    wait_for(gone(*family), "its workers' end")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("later", [0.0, 0.1, 0.4])
def test_a_signal_while_a_stage_imports_is_the_same_sentence(start, number, later):
    process = start([sys.executable, "-m", "stages.evaluate"])
    status = Path(f"/proc/{process.pid}/status")

    def handles_sigterm() -> bool:
        caught = int(status.read_text().split("SigCgt:")[1].split()[0], 16)
        return bool(caught >> (signal.SIGTERM - 1) & 1)

    wait_for(handles_sigterm, "handlers, which stand before the imports")
    time.sleep(later)
    process.send_signal(number)
    _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (128 + number, f"{STOPPED}\n")


def test_what_a_shell_ignores_for_it_stays_ignored(start):
    """As for a command with `&` in a script."""
    process = start(["sh", "-c", 'trap "" INT; exec "$@"', "sh", *DOWNLOAD])
    drawing(psutil.Process(process.pid))
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 143
    assert "Traceback" not in errors


def test_workers_end_when_the_stage_is_killed(start):
    process = start(DOWNLOAD)
    family = drawing(psutil.Process(process.pid))
    process.kill()
    process.communicate(timeout=SECONDS)  # hangs while anyone holds its output open
    wait_for(gone(*family), "its workers' end")


@pytest.mark.parametrize("between", [[], ["/bin/sh", "-c", '"$@"; true', "sh"]])
def test_a_stage_ends_when_its_dvc_is_killed(start, between):
    """DVC runs commands by a shell, which some replace by the command and others keep."""
    dvc = start(
        [sys.executable, "-c", RUNS_UNTIL_KILLED, *between, *DOWNLOAD],
        DVC_STAGE="download",
        SHELL="/bin/sh",
    )
    child = psutil.Process(int(dvc.stdout.readline()))
    wait_for(lambda: bool(child.children() if between else True), "the stage")
    (stage,) = child.children() if between else [child]
    family = drawing(stage)
    dvc.kill()
    wait_for(gone(*family), "the stage's end")
    assert STOPPED in dvc.stderr.read()


def test_a_stage_run_by_hand_outlives_its_shell(start):
    shell = start([sys.executable, "-c", RUNS_UNTIL_KILLED, *DOWNLOAD])
    stage = psutil.Process(int(shell.stdout.readline()))
    drawing(stage)
    shell.kill()
    shell.wait()
    time.sleep(1)
    assert stage.is_running()
