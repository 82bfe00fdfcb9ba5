"""Where the caches lie, and one sentence where that cannot be said."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.common.errors import UserError
from pipeline.common.home import storycache_home

ROOT = Path(__file__).resolve().parents[2]
SAYS = """
import os, sys
from pipeline.common.errors import exit_cleanly
from pipeline.common.home import storycache_home
if len(sys.argv) > 1:
    os.setuid(int(sys.argv[1]))
exit_cleanly(lambda: print(storycache_home()))
"""


def says(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {k: v for k, v in os.environ.items() if k not in ("HOME", "STORYCACHE_HOME")}
    return subprocess.run(
        [sys.executable, "-c", SAYS, *arguments],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        text=True,
    )


def test_a_tilde_is_the_home_folder():
    assert says(HOME="/somewhere").stdout == "/somewhere/.cache/storycache\n"
    assert says(HOME="/somewhere", STORYCACHE_HOME="~/kept").stdout == "/somewhere/kept\n"
    assert says(HOME="/somewhere", STORYCACHE_HOME="").stdout == says(HOME="/somewhere").stdout


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="becomes another user")
def test_a_user_without_a_home_is_told_what_to_set():
    """As in a container that runs under a number of nobody's."""
    nobody = "54321"
    done = says(nobody)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "set STORYCACHE_HOME to the whole path of a folder that is yours" in line
    assert says(nobody, STORYCACHE_HOME="/caches").stdout == "/caches\n"


def test_what_evaluation_imports_loads_for_a_user_without_a_home():
    nobody = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    # The interpreter may lie in a folder of root's own.
    nobody += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    if not shutil.which("setpriv") or subprocess.run([*nobody, "true"]).returncode:
        pytest.skip("cannot become another user here")
    program = "import stages, pipeline.evaluation.overlap"
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "NLTK_DATA")}
    command = [*nobody, sys.executable, "-B", "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("relative", ["caches", "./caches", "../caches"])
def test_a_relative_folder_is_refused(monkeypatch, relative):
    monkeypatch.setenv("STORYCACHE_HOME", relative)
    with pytest.raises(UserError, match=f"STORYCACHE_HOME is {relative}, .* whole path, such as /"):
        storycache_home()
