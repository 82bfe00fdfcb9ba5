"""Where a user's caches live, outside every repository: shared by clones and experiments."""

import os
from pathlib import Path


def storycache_home() -> Path:
    """The folder of this user's caches: `$STORYCACHE_HOME`, or ~/.cache/storycache."""
    return Path(os.environ.get("STORYCACHE_HOME") or "~/.cache/storycache").expanduser()
