"""What the evaluate stage writes, typed: predictions.jsonl and metrics_full.json."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from pipeline.common.checksums import check_file
from pipeline.common.errors import UserError
from pipeline.common.files import read_json, reading
from pipeline.evaluation.figures import Measure
from pipeline.evaluation.metrics import row_and_metric
from pipeline.evaluation.references import GROUND_TRUTH, MODEL
from pipeline.images.reader import Place
from pipeline.params.errors import first_problem

FOLDER = Path("data/eval")
"""Where dvc.yaml has them, from the root of the repository."""
PREDICTIONS_FILE = "predictions.jsonl"
MEASURES_FILE = "metrics_full.json"
REMEDY = "run dvc repro evaluate"


class ImagePlace(TypedDict):
    """Where an image lies in the raw folder: a file, a row in it, and which of the row's images."""

    file: str
    row: Annotated[int, Field(ge=0)]
    index: Annotated[int, Field(ge=0)]


def _of_model_and_truth(scores: dict[str, float]) -> dict[str, float]:
    if missing := {MODEL, GROUND_TRUTH} - scores.keys():
        raise ValueError(f"no score of {sorted(missing)[0]}")
    return scores


def _or_none(scores: dict[str, float]) -> dict[str, float]:
    return _of_model_and_truth(scores) if scores else scores


@with_config(ConfigDict(strict=True, allow_inf_nan=False, extra="allow"))
class Record(TypedDict):
    """A line of predictions.jsonl: a story, its captions and their scores.

    What only some versions or settings write need not be there.
    """

    split: str
    story_id: str
    context: list[str]
    """Captions of the K frames that were read."""
    context_images: list[ImagePlace]
    target_image: ImagePlace
    reference: str
    """The true caption."""
    prediction: str
    finished: bool
    """Whether the caption came to its end before `generate.max_new_tokens`."""
    score: float
    reference_score: float
    scores: Annotated[dict[str, float], AfterValidator(_of_model_and_truth)]
    """Row -> CLIP cosine of its caption and the target image."""
    judge_score: NotRequired[float | None]
    judge_scores: NotRequired[Annotated[dict[str, float], AfterValidator(_or_none)]]
    rank: NotRequired[int | None]
    """Place of the target among all targets of the split by the model's caption, from 1."""
    captions: NotRequired[dict[str, str]]
    """Row -> its caption."""
    metrics: NotRequired[dict[str, float]]
    """Other columns of the model's caption."""
    nats: NotRequired[dict[str, float]]
    """Condition -> nats of the true caption, of `target_tokens` tokens."""
    target_tokens: NotRequired[int]


def _as_many_captions(record: Record) -> Record:
    if len(record["context"]) != len(record["context_images"]):
        raise ValueError("context and context_images differ in length")
    return record


_RECORD: TypeAdapter[Any] = TypeAdapter(Annotated[Record, AfterValidator(_as_many_captions)])


def read_records(path: Path) -> Iterator[Record]:
    """The records of a predictions.jsonl, checked as they come, in the order of the file.

    Raises:
        UserError: the file is missing, cannot be read, is not what was written by the SHA256SUMS
            beside it, or a line of it is no record.
    """
    with reading(path, f"{REMEDY}, or dvc checkout, to have it"):
        check_file(path, REMEDY)
        with path.open("rb") as lines:
            yield from parse_records(lines, str(path))


def parse_records(lines: Iterable[bytes], where: str) -> Iterator[Record]:
    """The records in lines of a predictions.jsonl; `where` names it in the UserError."""
    for number, line in enumerate(lines, start=1):
        try:
            record: Record = _RECORD.validate_json(line)
        except ValidationError as error:
            raise UserError(
                f"{where} is not a predictions file of this version of the code "
                f"({first_problem(error, above=f'line {number}')}); {REMEDY} to have one"
            ) from None
        yield record


def images_of(record: Record) -> list[Place]:
    """Where a story's images lie: those of the context, and the target."""
    return [Place(**place) for place in [*record["context_images"], record["target_image"]]]


@dataclass(frozen=True)
class SplitMeasures:
    """One split: the metrics of each row, and those that belong to no single row."""

    stories: int
    rows: dict[str, dict[str, Measure]]
    """Row (model, ground_truth, ...) -> metric -> measure."""
    figures: dict[str, Measure]

    def metric(self, name: str) -> dict[str, Measure]:
        """Row -> measure, of the rows that have this metric, in the order of the file."""
        return {row: metrics[name] for row, metrics in self.rows.items() if name in metrics}

    def measure(self, name: str) -> Measure | None:
        """What metrics.json has under this name; None where it was not measured."""
        row, metric = row_and_metric(name)
        return (self.figures if row is None else self.rows.get(row, {})).get(metric)


@with_config(ConfigDict(allow_inf_nan=False))
@dataclass(frozen=True)
class Measures:
    """All splits, and the settings that they were measured with: metrics_full.json."""

    settings: dict[str, Any]
    splits: Annotated[dict[str, SplitMeasures], Field(min_length=1)]

    @property
    def headline(self) -> str:
        """The split to report first: test, or what there is."""
        return "test" if "test" in self.splits else next(iter(self.splits))


_MEASURES = TypeAdapter(Measures)


def read_measures(path: Path) -> Measures:
    """Read what the evaluate stage wrote.

    Raises:
        UserError: if the file is missing, or does not hold splits of rows and figures.
    """
    return parse_measures(read_json(path), str(path))


def parse_measures(content: Any, where: str) -> Measures:
    """Check and type the content of a metrics_full.json; `where` names it in the UserError."""
    try:
        return _MEASURES.validate_python(content)
    except ValidationError as error:
        raise UserError(
            f"{where} does not hold what the evaluate stage writes ({first_problem(error)}); "
            "run it again (dvc repro evaluate)"
        ) from None
