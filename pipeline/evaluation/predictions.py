"""Reading predictions: of a file, of the working tree, or of any revision that DVC can reach."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.errors import UserError

PREDICTIONS = Path("data/eval/predictions.jsonl")
WORKSPACE = "workspace"

Record = dict[str, Any]


def read_predictions(source: str, split: str) -> dict[str, Record]:
    """The records of one split, by story id, in the order of the file.

    Args:
        source: an experiment, a git revision, `workspace`, or a path. What is a file is taken as
            one, whatever revision may have its name.

    Raises:
        UserError: if the source is none of these, has no predictions or none for the split.
    """
    path = PREDICTIONS if source == WORKSPACE else Path(source)
    if path.is_file():
        with path.open(encoding="utf-8") as lines:
            records = _parse(lines, source)
    elif source == WORKSPACE or path.suffix == ".jsonl":
        raise UserError(f"{path} is missing: run dvc repro evaluate, or dvc checkout, to have it")
    else:
        records = _parse(_lines_of_revision(source), source)
    found = {record["story_id"]: record for record in records if record["split"] == split}
    if not found:
        raise UserError(f"{source} has no predictions for the split {split}")
    return found


def _lines_of_revision(revision: str) -> list[str]:
    """Lines of the predictions that belong to a revision, through DVC's API.

    Raises:
        UserError: for an unknown revision, one without predictions, or when neither the local
            cache nor a remote has them.
    """
    # A second that reading a file need not wait for.
    import dvc.api
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.scm import RevError, SCMError

    try:
        with dvc.api.open(PREDICTIONS.as_posix(), rev=revision, encoding="utf-8") as file:
            return list(file)
    except RevError:
        raise UserError(
            f"{revision} is neither a file nor a revision or experiment of this repository; "
            "see git log and dvc exp show"
        ) from None
    except (NotDvcRepoError, SCMError):
        raise UserError(
            f"{revision} is no file, and this folder is in no repository to look for it in"
        ) from None
    except (DvcException, OSError):
        raise UserError(
            f"there are no predictions of {revision} here: it was never evaluated, or its "
            f"{PREDICTIONS.parent} is in neither DVC's cache nor its remote"
        ) from None


def _parse(lines: Iterable[str], source: str) -> list[Record]:
    try:
        records = [json.loads(line) for line in lines]
    except json.JSONDecodeError as error:
        raise UserError(f"{source} is not a predictions file: {error}") from None
    if not all(isinstance(r, dict) and {"split", "story_id"} <= r.keys() for r in records):
        raise UserError(f"{source} is not a predictions file: its lines have no split and story_id")
    return records
