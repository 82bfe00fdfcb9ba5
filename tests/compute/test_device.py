import random
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.common.errors import UserError
from pipeline.compute import device
from pipeline.compute.device import (
    cpu_has_amx,
    make_deterministic,
    pick_device,
    pick_dtype,
    resolve_precision,
)
from tests.processes import python

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def cpu_info(folder: Path, monkeypatch: pytest.MonkeyPatch, flags: str, vendor: str) -> None:
    core = f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: fpu sse {flags}\n\n"
    path = folder / "cpuinfo"
    path.write_text(2 * core)
    monkeypatch.setattr(device, "CPU_INFO", path)


@pytest.mark.parametrize(
    ("cuda", "mps", "picked"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_a_gpu_is_picked_where_torch_finds_one(
    cuda: bool, mps: bool, picked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert pick_device() == torch.device(picked)


def test_a_named_precision_is_taken_as_it_is() -> None:
    for where in (CPU, CUDA):
        assert pick_dtype("float32", where) == torch.float32
        assert pick_dtype("bfloat16", where) == torch.bfloat16


def test_auto_follows_the_hardware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    intel, amd = "GenuineIntel", "AuthenticAMD"
    for flags, vendor, dtype in (
        ("avx2", intel, torch.float32),
        ("avx2", amd, torch.float32),
        ("avx512_bf16", amd, torch.bfloat16),
        ("avx512_bf16", intel, torch.float32),  # slower than float32 there, without AMX
        ("avx512_bf16 amx_bf16", intel, torch.bfloat16),
    ):
        cpu_info(tmp_path, monkeypatch, flags, vendor)
        assert pick_dtype("auto", CPU) == dtype
        assert pick_dtype("auto", CUDA) == torch.bfloat16
    monkeypatch.setattr(device, "CPU_INFO", tmp_path / "none")
    assert pick_dtype("auto", CPU) == torch.float32


def test_the_precision_resolved_from_files_is_the_one_computed_in() -> None:
    for precision in ("auto", "float32", "bfloat16"):
        named = resolve_precision(precision)
        assert str(pick_dtype(precision, pick_device())) == f"torch.{named}"


def test_amx_is_read_from_the_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, found in (("avx512_bf16", False), ("avx512_bf16 amx_bf16 amx_tile", True)):
        cpu_info(tmp_path, monkeypatch, flags, "GenuineIntel")
        assert cpu_has_amx() is found
    monkeypatch.setattr(device, "CPU_INFO", tmp_path / "none")
    assert not cpu_has_amx()


def test_unknown_precision_is_named() -> None:
    with pytest.raises(UserError, match="float64"):
        resolve_precision("float64")


def test_resolving_a_precision_does_not_import_torch() -> None:
    code = (
        "import sys; from pipeline.compute import device; from pathlib import Path;"
        "device.NVIDIA_NODES = (Path('/nowhere'),); device.resolve_precision('auto');"
        "assert 'torch' not in sys.modules"
    )
    assert python("-c", code).returncode == 0


def test_make_deterministic_repeats_every_generator() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    before = torch.are_deterministic_algorithms_enabled()
    try:
        make_deterministic(7)
        first = draw()
        make_deterministic(7)
        assert draw() == first
        make_deterministic(8)
        assert draw() != first
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(before)
