"""Progress as a log and as a terminal see it, of a process of its own."""

import os
import subprocess
import sys

import pytest

from tests.processes import ROOT, python

COUNTS = """
import time
import pipeline.common.progress
pipeline.common.progress.SECONDS_BETWEEN_LINES = 0.5
with pipeline.common.progress.progress_bar(desc="count", total=2000, unit="item") as bar:
    for number in range(2000):
        time.sleep(0.001)
        bar.update()
        if number == 1000:
            bar.write("half of it")
"""


def test_a_log_has_a_line_now_and_then():
    done = python("-c", COUNTS)
    assert (done.returncode, done.stdout) == (0, "half of it\n")
    assert "\r" not in done.stderr
    lines = done.stderr.splitlines()
    assert all(line.startswith("count: ") for line in lines), lines
    assert "0/2000" in lines[0]
    assert "2000/2000" in lines[-1]
    assert 3 < len(lines) < 20, "some twice a second, for two seconds or as long as it takes"


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_terminal_has_a_bar_that_is_drawn_in_place():
    termios = pytest.importorskip("termios")
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    done = subprocess.Popen(
        [sys.executable, "-c", COUNTS], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # how Linux says that nobody writes to it any more
        pass
    os.close(ours)
    assert done.wait() == 0
    assert shown.count(b"\r") > 3
    assert b"2000/2000" in shown
