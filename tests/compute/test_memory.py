"""The allocator's setting is taken, and computing goes on as before."""

import sys

import pytest

from tests.processes import python


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_freed_memory_is_kept() -> None:
    # in a process of its own: the setting cannot be taken back
    code = (
        "import ctypes, sys\n"
        "from pipeline.compute.memory import keep_freed_memory\n"
        "done = keep_freed_memory()\n"
        "sys.exit(done != hasattr(ctypes.CDLL(None), 'mallopt') or bytes(2**26) != bytes(2**26))"
    )
    assert python("-c", code).returncode == 0
