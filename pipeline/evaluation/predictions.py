"""Reading predictions: of a file, of the working tree, or of any revision that DVC can reach."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from pipeline.common.checksums import check_file
from pipeline.common.errors import UserError
from pipeline.common.files import reading

PREDICTIONS = Path("data/eval/predictions.jsonl")
WORKSPACE = "workspace"
REMEDY = "run dvc repro evaluate"

Record = dict[str, Any]
"""A line of predictions.jsonl, as `_Record` says."""


class _Place(TypedDict):
    """Where an image lies in the raw folder: a file, a row in it, and which of the row's images."""

    file: str
    row: Annotated[int, Field(ge=0)]
    index: Annotated[int, Field(ge=0)]


def _of_model_and_truth(scores: dict[str, float]) -> dict[str, float]:
    if missing := {"model", "ground_truth"} - scores.keys():
        raise ValueError(f"no score of {sorted(missing)[0]}")
    return scores


def _or_none(scores: dict[str, float]) -> dict[str, float]:
    return _of_model_and_truth(scores) if scores else scores


class _Record(TypedDict):
    """What every line has, and the types of what only some versions or settings write."""

    __pydantic_config__ = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")  # type: ignore[misc]

    split: str
    story_id: str
    context: list[str]
    context_images: list[_Place]
    target_image: _Place
    reference: str
    prediction: str
    finished: bool
    score: float
    reference_score: float
    scores: Annotated[dict[str, float], AfterValidator(_of_model_and_truth)]
    judge_score: NotRequired[float | None]
    judge_scores: NotRequired[Annotated[dict[str, float], AfterValidator(_or_none)]]
    rank: NotRequired[int | None]
    captions: NotRequired[dict[str, str]]
    metrics: NotRequired[dict[str, float]]
    nats: NotRequired[dict[str, float]]
    target_tokens: NotRequired[int]


def _as_many_captions(record: _Record) -> _Record:
    if len(record["context"]) != len(record["context_images"]):
        raise ValueError("context and context_images differ in length")
    return record


_RECORD: TypeAdapter[Any] = TypeAdapter(Annotated[_Record, AfterValidator(_as_many_captions)])


def read_records(path: Path) -> Iterator[Record]:
    """The records of a predictions.jsonl, checked as they come, in the order of the file.

    Raises:
        UserError: the file is missing, cannot be read, is not what was written by the SHA256SUMS
            beside it, or a line of it is no record.
    """
    with reading(path, f"{REMEDY}, or dvc checkout, to have it"):
        check_file(path, REMEDY)
        with path.open("rb") as lines:
            yield from _parse(lines, str(path))


def read_predictions(source: str, split: str) -> dict[str, Record]:
    """The records of one split, by story id, in the order of the file.

    Args:
        source: an experiment, a git revision, `workspace`, or a path. What is a file is taken as
            one, whatever revision may have its name.

    Raises:
        UserError: if the source is none of these, has no predictions or none for the split.
    """
    path = PREDICTIONS if source == WORKSPACE else Path(source)
    if path.is_file() or source == WORKSPACE or path.suffix == ".jsonl":
        records = read_records(path)
    else:
        records = _parse(_lines_of_revision(source), source)
    found = {record["story_id"]: record for record in records if record["split"] == split}
    if not found:
        raise UserError(f"{source} has no predictions for the split {split}")
    return found


def _lines_of_revision(revision: str) -> list[bytes]:
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
        with dvc.api.open(PREDICTIONS.as_posix(), rev=revision, mode="rb") as file:
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


def _parse(lines: Iterable[bytes], source: str) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        try:
            record: Record = _RECORD.validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join([f"line {number}", *map(str, first["loc"])])
            raise UserError(
                f"{source} is not a predictions file of this version of the code ({where}: "
                f"{first['msg'][:100]}); {REMEDY} to have one"
            ) from None
        yield record
