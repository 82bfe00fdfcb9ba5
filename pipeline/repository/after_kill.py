"""`python -m pipeline.repository.after_kill`: DVC's files that a kill left half-written, set aside.

DVC writes `dvc.lock` and `.dvc/tmp/rwlock` in place, and refuses every command while one of them
cannot be read. Nothing is lost with them: its run cache holds what has run. There it makes a folder
for a run before the file in it, and cannot run the stage again while that folder is empty.
"""

import contextlib
import json
import sys
import time
from pathlib import Path

import yaml

from pipeline.common.errors import exit_cleanly
from pipeline.common.locks import try_lock

LOCK = Path("dvc.lock")
TEMPORARY = Path(".dvc/tmp")
RUNS = Path(".dvc/cache/runs")


def main() -> None:
    """In the working directory; does nothing while a DVC is at work in it."""
    with contextlib.ExitStack() as stack:
        for path in (TEMPORARY / "lock", TEMPORARY / "rwlock.lock"):
            if path.exists() and not try_lock(stack.enter_context(path.open("a"))):
                return
        for path, whole in ((LOCK, _is_lock), (TEMPORARY / "rwlock", _is_json)):
            if path.exists() and not whole(path):
                aside = path.with_name(f"{path.name}.broken")
                path.replace(aside)
                print(
                    f"{path} was cut short when DVC was killed, and DVC would refuse it: it is "
                    f"{aside} now, and what had run is in DVC's run cache",
                    file=sys.stderr,
                )
        _remove_empty(RUNS)


def _remove_empty(runs: Path) -> None:
    empty = [folder for folder in runs.glob("*/*") if folder.is_dir() and not any(folder.iterdir())]
    if empty:
        time.sleep(1)  # an experiment in a folder of its own may be about to write there
    for folder in empty:
        with contextlib.suppress(OSError):  # it did
            folder.rmdir()


def _is_lock(path: Path) -> bool:
    """Whether it is complete, or cut where DVC still reads it and runs no more than it must."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    content = path.read_bytes()
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where PyYAML was built so
        COMPILED_LOCKFILE_SCHEMA(yaml.load(content, loader))
    except (Invalid, ValueError, yaml.YAMLError):
        return False
    return content.endswith(b"\n")


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    exit_cleanly(main)
