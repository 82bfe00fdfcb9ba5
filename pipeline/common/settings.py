"""What every process of ours has in its environment before PyTorch's libraries load and read it.

A setting of the user's own stays. What each is worth, and costs: docs/performance.md.
"""

import os
import sys
import tempfile

SETTINGS = {
    # How often an OpenMP thread that waits looks again before it sleeps: by GNU's default so often
    # that it takes the cores from every other process and from a stage's own image decoders.
    "GOMP_SPINCOUNT": "5000",
    # How many kernels PyTorch and oneDNN keep, one for each shape of a batch that they have met:
    # by default so many that memory grows for hours.
    "LRU_CACHE_CAPACITY": "16",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16",
    # What PyTorch has no kernel for on Apple's MPS runs on the CPU.
    "PYTORCH_ENABLE_MPS_FALLBACK": "1",
}


def apply_settings() -> None:
    """Put them into this process's environment."""
    for name, value in SETTINGS.items():
        # A count would overrule the policy that a user has set for the same.
        if name != "GOMP_SPINCOUNT" or "OMP_WAIT_POLICY" not in os.environ:
            os.environ.setdefault(name, value)
    if not sys.stderr.isatty():
        # In a log, the bars of others are lines by the thousand; ours are few (`progress_bar`).
        for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
            os.environ.setdefault(name, "1")
    if os.path.expanduser("~") == "~":
        # For a user without a home folder: NLTK, which ROUGE brings, fails as it loads unless it
        # knows where it could keep data. It fetches none.
        os.environ.setdefault("NLTK_DATA", tempfile.gettempdir())
