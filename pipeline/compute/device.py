"""Where to compute, in which precision, and how to make a run repeatable: one place for all of it.

Nothing here imports torch at the top: the precision of an embedding is part of its fingerprint,
and a stage that finds all its work done should not pay seconds for an import to learn that.
"""

from __future__ import annotations

import os
import platform
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.common.errors import UserError

if TYPE_CHECKING:
    import torch

CPU_INFO = Path("/proc/cpuinfo")
NVIDIA_NODES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""Present where a CUDA device may be: NVIDIA's driver on Linux, and WSL."""


def pick_device() -> torch.device:
    """CUDA where torch finds it, else Apple's MPS, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype to run a frozen model in on `device`.

    `auto` is bfloat16 where that is the faster one (CUDA, and what `cpu_prefers_bfloat16` says)
    and float32 elsewhere.

    Raises:
        UserError: for a precision that is none of auto, float32 and bfloat16.
    """
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[
        _resolved(precision, on_cuda=device.type == "cuda")
    ]


def resolve_precision(precision: str) -> str:
    """Name the dtype of `pick_dtype(precision, pick_device())`, if possible without torch.

    Torch is asked only for `auto` on a machine that shows an NVIDIA device.

    Returns:
        "float32" or "bfloat16".
    """
    on_cuda = (
        precision == "auto"
        and (any(node.exists() for node in NVIDIA_NODES) or platform.system() == "Windows")
        and pick_device().type == "cuda"
    )
    return _resolved(precision, on_cuda)


def _resolved(precision: str, on_cuda: bool) -> str:
    if precision in ("float32", "bfloat16"):
        return precision
    if precision != "auto":
        raise UserError(f"precision is {precision!r}; it may be auto, float32 or bfloat16")
    return "bfloat16" if on_cuda or cpu_prefers_bfloat16() else "float32"


def cpu_prefers_bfloat16() -> bool:
    """Whether this CPU is faster in bfloat16 (known on Linux; elsewhere taken as no).

    That takes AMX, or AMD's AVX512-BF16. Intel's AVX512-BF16, all that is left where a virtual
    machine hides AMX, multiplies at no more than float32's rate.
    """
    vendor, flags = _cpu()
    return "amx_bf16" in flags or ("avx512_bf16" in flags and vendor == "AuthenticAMD")


def cpu_has_amx() -> bool:
    """Whether this CPU multiplies bfloat16 in tiles (known on Linux; elsewhere taken as no)."""
    return "amx_bf16" in _cpu()[1]


def _cpu() -> tuple[str, frozenset[str]]:
    """Vendor and flags of the first core, as Linux names them."""
    try:
        text = CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", frozenset()
    first = text.split("\n\n", 1)[0]
    known = dict(re.findall(r"^(\w+)\s*: (.*)$", first, re.MULTILINE))
    return known.get("vendor_id", ""), frozenset(known.get("flags", "").split())


def make_deterministic(seed: int) -> None:
    """Seed Python, NumPy and torch, and choose torch's deterministic algorithms.

    An operation that has none warns instead of failing, so that a decoder we have not seen still
    trains. Equal numbers are promised on one machine and one set of library versions only, as by
    PyTorch itself.
    """
    # cuBLAS reads this when its first handle is made; without it matrix products may vary.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # On by default, it writes NaN into every new tensor, to show reads of what nothing has written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
