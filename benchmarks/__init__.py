"""Speed and memory, each against a named baseline in the same run."""

from pipeline.common.settings import apply_settings

apply_settings()  # what holds for stages holds for what is timed here
