"""One script per stage of dvc.yaml, each in a process of its own, and what all of these have set.

It stands where Python comes before it reads a script: PyTorch's libraries read these settings when
they load, and a signal may come while they do. A setting of the user's own stays.
"""

import os
import sys

from pipeline.common.process import end_with_dvc, leave_at_signals

SETTINGS = {
    # How often an OpenMP thread that waits looks again before it sleeps. GNU's default, 300,000,
    # takes the cores from any other process and from a stage's own image decoders: on two cores,
    # two trainings side by side were each 3 times as slow as one alone (12 times with AMX), and 2.2
    # times (1.5) with this. With AMX a lone training pays for it, at full size with 7 %.
    # Much less is no better: at 1,000, sampling captions, made of many small steps, took 10 to 15 %
    # longer, at 5,000 as long as ever.
    "GOMP_SPINCOUNT": "5000",
    # oneDNN keeps compiled kernels for the latest 1,024 shapes of its operands, and PyTorch keeps
    # as many of its own. Batches differ in length, so nearly every one adds some, which is memory
    # that grows for hours: 0.5 GB in the first 60 steps on the sample. Within a batch a dozen
    # shapes come back, layer after layer; with room for these, steps take no longer, save with AMX
    # at full size, where a step of two windows takes 9 % longer.
    "LRU_CACHE_CAPACITY": "16",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16",
}

for _name, _value in SETTINGS.items():
    # A count would overrule the policy that a user has set for the same.
    if _name != "GOMP_SPINCOUNT" or "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault(_name, _value)
if not sys.stderr.isatty():
    # In a log, the bars of others would be lines by the thousand; ours are few (`progress_bar`).
    for _name in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(_name, "1")

if os.path.expanduser("~") == "~":
    # For a user without a home folder: NLTK, which ROUGE brings, fails as it loads unless it knows
    # where it could keep data. It fetches none.
    import tempfile

    os.environ.setdefault("NLTK_DATA", tempfile.gettempdir())

if sys.argv[:1] == ["-m"]:  # a script is about to run; whoever only imports this keeps its handlers
    leave_at_signals()
    end_with_dvc()
