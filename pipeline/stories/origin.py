"""Where the stories of a raw folder came from: kept beside them, and told in the dataset table."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError
from pipeline.common.files import read_json, write_json

NAME = "source.json"


def write_origin(raw: Path, origin: dict[str, Any]) -> None:
    """Write what a `Source` says of itself into the raw folder."""
    write_json(raw / NAME, origin)


def read_origin(raw: Path) -> dict[str, Any]:
    """Read where stories came from, in few words; empty if the folder does not say.

    A list of files becomes one digest of all their digests: a table has no room for thousands.

    Raises:
        UserError: if the file is not what the download stage writes.
    """
    path = raw / NAME
    if not path.exists():
        return {}
    origin = read_json(path)
    if not isinstance(origin, dict):
        raise UserError(f"{path} is damaged; delete it and run dvc repro download")
    files = origin.pop("files", None)
    if files is not None:
        origin["sha256"] = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    return origin
