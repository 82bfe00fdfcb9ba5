"""The command `demo`: it listens, says where, and ends as all commands do."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from pipeline.cli.demo import address_of, has_screen, listen
from pipeline.common.errors import UserError

COMMAND = (sys.executable, "-m", "pipeline.cli", "demo", "--no-browser", "--port", "0")


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UserError, match=rf"^port {port} is taken already: give another one"):
            listen("127.0.0.1", port)


def test_what_cannot_be_listened_at_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^192\.0\.2\.1, port 8765 cannot be listened at"):
        listen("192.0.2.1", 8765)


def test_the_address_is_one_that_a_browser_opens() -> None:
    addresses = [address_of(host, 80) for host in ("127.0.0.1", "0.0.0.0", "::1")]
    assert addresses == ["http://127.0.0.1:80", "http://localhost:80", "http://[::1]:80"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a screen")
def test_a_terminal_is_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not has_screen()
    monkeypatch.setenv("DISPLAY", ":0")
    assert has_screen()


@pytest.mark.slow
def test_it_serves_until_it_is_stopped(model: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "--model", str(model), "--data", str(tmp_path)]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=os.environ) as server:
        assert server.stdout and server.stderr
        ready = server.stdout.readline()
        address = ready.split()[0]
        assert ready == f"{address} is ready; Ctrl-C ends it\n"
        with urllib.request.urlopen(f"{address}/page.js") as answer:
            assert answer.status == 200
        server.send_signal(signal.SIGINT)
        said = server.stderr.read().splitlines()
        assert server.wait(30) == 130
    assert [line.split(":")[0] for line in said if "shards" not in line] == [
        "no examples",
        "no nearest training stories",
        "stopped",
    ]


@pytest.mark.slow
def test_a_model_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    command = [*COMMAND, "--model", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
