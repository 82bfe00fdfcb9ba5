"""What every process of ours has set before PyTorch loads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.common.settings import SETTINGS

ROOT = Path(__file__).parents[2]

WHAT_A_SCRIPT_SEES = """
import json, os, sys
import stages
from pipeline.common.settings import SETTINGS
assert "torch" not in sys.modules, "its libraries read these settings when they load"
print(json.dumps({name: os.environ.get(name) for name in SETTINGS}))
"""

MANY_SHAPES = """
import stages
import torch
from pathlib import Path
from pipeline.compute.packed_linear import PackedLinear

def resident():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024

layer = PackedLinear(torch.nn.Linear(768, 3072).requires_grad_(False))
x = torch.randn(400, 768)
layer(x)
before = resident()
for rows in range(100, 300):
    layer(x[:rows])
print(resident() - before)
"""


def run(script: str, **own: str) -> str:
    ours = {*SETTINGS, "OMP_WAIT_POLICY"}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment | own,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_they_stand_before_torch_loads():
    assert json.loads(run(WHAT_A_SCRIPT_SEES)) == SETTINGS


def test_a_setting_of_the_users_own_stays():
    assert json.loads(run(WHAT_A_SCRIPT_SEES, GOMP_SPINCOUNT="7"))["GOMP_SPINCOUNT"] == "7"


def test_a_waiting_policy_of_the_users_own_is_not_overruled():
    assert json.loads(run(WHAT_A_SCRIPT_SEES, OMP_WAIT_POLICY="active"))["GOMP_SPINCOUNT"] is None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_every_new_length_of_a_batch():
    """At PyTorch's own settings these 200 lengths leave more than 400 MB behind."""
    assert float(run(MANY_SHAPES)) < 200
