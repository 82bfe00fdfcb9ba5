"""One script per stage of dvc.yaml, each a function of paths and a process of its own.

Python comes here before it reads a script, so that settings and signals are in place while PyTorch
and the like load.
"""

import sys

from pipeline.common.process import end_with_starter, leave_at_signals
from pipeline.common.settings import apply_settings

apply_settings()
if sys.argv[:1] == ["-m"]:  # a script is about to run; whoever only imports this keeps its handlers
    leave_at_signals()
    end_with_starter()
