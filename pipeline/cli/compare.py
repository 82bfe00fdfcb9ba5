"""`storycache compare`: a paired bootstrap over the stories that two runs have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer

from pipeline.cli.table import aligned
from pipeline.common.errors import UserError
from pipeline.evaluation.bootstrap import intervals
from pipeline.evaluation.figures import Figure, Measure, difference
from pipeline.evaluation.metrics import (
    HEADLINE,
    METRICS,
    Columns,
    row_figures,
    split_figures,
)
from pipeline.evaluation.overlap import bleu_counts, tokenize
from pipeline.evaluation.references import GROUND_TRUTH, MODEL, SHUFFLED
from pipeline.evaluation.results import (
    FOLDER,
    PREDICTIONS_FILE,
    Record,
    parse_records,
    read_records,
)
from pipeline.repository.revisions import read_revision

WORKSPACE = "workspace"
SAME = "no detectable difference"
SEED = 0


@dataclass(frozen=True)
class Comparison:
    """One metric of A and B over their common stories."""

    metric: str
    a: float
    b: float
    change: Measure
    """B - A, and its 95 % interval where it has one."""
    verdict: str


def compare(
    a: Mapping[str, Record],
    b: Mapping[str, Record],
    metrics: Sequence[str] = (),
    names: tuple[str, str] = ("A", "B"),
) -> list[Comparison]:
    """Compare two runs, metric by metric.

    Args:
        a, b: story id -> its record of predictions.jsonl, of one split.
        metrics: names to compare; of all that both have, if empty, those of which one side is
            better and those of metrics.json.
        names: what errors call the two.

    Raises:
        UserError: without common stories, for an unknown metric, or if a story's true caption
            differs between the two.
    """
    common = [story for story in a if story in b]
    if not common:
        raise UserError(
            f"{names[0]} and {names[1]} have no story in common: were they made from the same "
            "dataset, with the same split and context.k?"
        )
    pair = [[run[story] for story in common] for run in (a, b)]
    for mine, yours in zip(*pair, strict=True):
        if mine["reference"] != yours["reference"]:
            raise UserError(
                f"story {mine['story_id']} has another true caption in {names[1]} than in "
                f"{names[0]}: their scores are answers to different questions"
            )
    of_a, of_b = (_figures(records) for records in pair)
    known = [name for name in of_a if name in of_b]
    for name in metrics:
        if name not in known:
            raise UserError(f"{name} is no metric of both runs; those are {', '.join(known)}")
    shown = [name for name in known if METRICS[name].higher_is_better is not None]
    shown += [name for name in known if name in HEADLINE]
    chosen = [name for name in known if name in (metrics or shown)]
    every = {(part, name): of[name] for part, of in (("a", of_a), ("b", of_b)) for name in chosen}
    every |= {("b-a", name): difference(of_b[name], of_a[name]) for name in chosen}
    found = intervals(every, len(common), SEED)
    return [
        Comparison(
            name, found["a", name].value, found["b", name].value, change, _verdict(name, change)
        )
        for name in chosen
        if (change := found.get(("b-a", name)))
    ]


def _verdict(metric: str, change: Measure) -> str:
    low, high = change.low, change.high
    if low is None or high is None:
        return "too few stories to tell"
    if low <= 0 <= high:
        return SAME
    higher_is_better = METRICS[metric].higher_is_better
    if higher_is_better is None:
        return f"B is {'higher' if low > 0 else 'lower'}"
    return f"{'B' if (low > 0) == higher_is_better else 'A'} is better"


def _figures(records: Sequence[Record]) -> dict[str, Figure]:
    """Metric -> figure over these stories, of what all records hold."""
    values = [_values(record) for record in records]
    columns: Columns = {
        name: np.array([of[name] for of in values])
        for name in values[0]
        if all(of.get(name) is not None for of in values)
    }
    of_model = {
        name.removeprefix(f"{MODEL}."): column
        for name, column in columns.items()
        if name.startswith(f"{MODEL}.")
    }
    predictions, references = (
        [tokenize(text) for text in texts]
        for texts in zip(*((r["prediction"], r["reference"]) for r in records), strict=True)
    )
    of_model["bleu_counts"] = bleu_counts(predictions, references)
    return split_figures({}, columns) | row_figures(of_model)


def _values(record: Record) -> dict[str, float | None]:
    """The numbers of a record by column: `ground_truth.clip_cosine`, `model.rank`, `nll`.

    Not those of other reference rows: they are no property of a run.
    """
    rows = (MODEL, GROUND_TRUTH, SHUFFLED)
    judged = record.get("judge_scores", {})
    return {
        **{f"{row}.clip_cosine": record["scores"].get(row) for row in rows},
        **{f"{row}.judge_cosine": judged.get(row) for row in rows},
        **{f"{MODEL}.{name}": value for name, value in record.get("metrics", {}).items()},
        f"{MODEL}.rank": record.get("rank"),
        f"{MODEL}.finished": record["finished"],
        **record.get("nats", {}),
        "target_tokens": record.get("target_tokens"),
    }


def read_predictions(source: str, split: str) -> dict[str, Record]:
    """The predictions of one split, by story id, in the order of their file.

    Args:
        source: an experiment, a git revision, `workspace`, or a path. What is a file is taken as
            one, whatever revision may have its name.

    Raises:
        UserError: if the source is none of these, has no predictions or none for the split.
    """
    path = FOLDER / PREDICTIONS_FILE
    file = path if source == WORKSPACE else Path(source)
    if source == WORKSPACE or file.is_file() or file.suffix == ".jsonl":
        records = read_records(file)
    else:
        records = parse_records(read_revision(source, path).splitlines(), source)
    found = {record["story_id"]: record for record in records if record["split"] == split}
    if not found:
        raise UserError(f"{source} has no predictions for the split {split}")
    return found


def _table(comparisons: Sequence[Comparison]) -> str:
    """The comparisons as aligned text."""
    rows = [("metric", "A", "B", "B - A", "95 % interval", "verdict")]
    for c in comparisons:
        low, high = c.change.low, c.change.high
        interval = "" if low is None or high is None else f"[{low:+.4f}, {high:+.4f}]"
        change = f"{c.change.value:+.4f}"
        rows.append((c.metric, f"{c.a:.4f}", f"{c.b:.4f}", change, interval, c.verdict))
    return aligned(rows, right=range(1, 5))


def command(
    a: Annotated[str, typer.Argument(metavar="A")],
    b: Annotated[str, typer.Argument(metavar="B")],
    split: Literal["val", "test"] = "test",
    metric: Annotated[list[str], typer.Option(help="This one only; may be repeated.")] = [],  # noqa: B006
) -> None:
    """Is run B better than run A?

    A and B are experiments, git revisions, `workspace`, or predictions files (.jsonl).

    Each interval speaks for its own metric: of twenty metrics between two runs that do not differ,
    one will seem to.
    """
    records_a, records_b = (read_predictions(name, split) for name in (a, b))
    comparisons = compare(records_a, records_b, metric, (a, b))
    common = sum(story in records_b for story in records_a)
    print(f"A: {a}, {len(records_a)} stories of {split}")
    print(f"B: {b}, {len(records_b)} stories, {common} of them in common\n")
    print(_table(comparisons))
