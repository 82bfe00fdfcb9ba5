"""`storycache compare`: a paired bootstrap over the stories that two runs have told."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from pipeline.common.errors import UserError
from pipeline.evaluation.bootstrap import (
    Figure,
    difference,
    intervals,
    lift_of,
    mean_of,
    median_of,
    ratio_of,
)
from pipeline.evaluation.overlap import bleu_counts, bleu_of
from pipeline.evaluation.predictions import Record, read_predictions
from pipeline.evaluation.references import GROUND_TRUTH, SHUFFLED
from pipeline.evaluation.tokens import tokenize

LOWER_IS_BETTER = ("median_rank", "nll", "nll_other_prefix")
NEITHER_IS_BETTER = ("words",)
SAME = "no detectable difference"
SEED = 0


@dataclass(frozen=True)
class Comparison:
    """One metric of A and B over their common stories."""

    metric: str
    a: float
    b: float
    difference: float
    """B - A."""
    low: float | None
    high: float | None
    """95 % interval of the difference; None where it cannot be told."""
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
        metrics: names to compare; all that both have, if empty.
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
    chosen = [name for name in known if not metrics or name in metrics]
    every = {(part, name): of[name] for part, of in (("a", of_a), ("b", of_b)) for name in chosen}
    every |= {("b-a", name): difference(of_b[name], of_a[name]) for name in chosen}
    found = intervals(every, len(common), SEED)
    result = []
    for name in chosen:
        if ("b-a", name) not in found:
            continue
        value, low, high = found["b-a", name]
        before, after = found["a", name].value, found["b", name].value
        verdict = _verdict(name, low, high)
        result.append(Comparison(name, before, after, value, low, high, verdict))
    return result


def _verdict(metric: str, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "too few stories to tell"
    if low <= 0 <= high:
        return SAME
    if metric in NEITHER_IS_BETTER:
        return f"B is {'higher' if low > 0 else 'lower'}"
    better = (low > 0) != (metric in LOWER_IS_BETTER)
    return f"{'B' if better else 'A'} is better"


def _figures(records: Sequence[Record]) -> dict[str, Figure]:
    """Metric -> figure over these stories, of what the records hold."""
    figures: dict[str, Figure] = {}
    for lift, cosine, key in (
        ("lift", "clip_cosine", "scores"),
        ("judge_lift", "judge_cosine", "judge_scores"),
    ):
        if all(key in record and "model" in record[key] for record in records):
            own = _column(records, key, "model")
            if all(SHUFFLED in record[key] for record in records):
                floor, ceiling = (_column(records, key, row) for row in (SHUFFLED, GROUND_TRUTH))
                figures[lift] = lift_of(own, floor, ceiling)
            figures[cosine] = mean_of(own)
    for name in ("clipscore", "ref_clipscore", "clip_cosine_sentences"):
        if _all_have(records, "metrics", name):
            figures[name] = mean_of(_column(records, "metrics", name))
    if all(record.get("rank") is not None for record in records):
        ranks = np.array([record["rank"] for record in records])
        figures |= {f"r{k}": mean_of(ranks <= k) for k in (1, 5, 10)}
        figures["median_rank"] = median_of(ranks)
    if _all_have(records, "metrics", "rank_same_story"):
        figures["r1_same_story"] = mean_of(_column(records, "metrics", "rank_same_story") <= 1)
    predictions, references = (
        [tokenize(record[key]) for record in records] for key in ("prediction", "reference")
    )
    figures["bleu4"] = bleu_of(bleu_counts(predictions, references))
    for name in ("rouge_l", "cider_d", "words"):
        if _all_have(records, "metrics", name):
            figures[name] = mean_of(_column(records, "metrics", name))
    figures["finished"] = mean_of(np.array([record["finished"] for record in records]))
    for name in ("nll", "nll_other_prefix"):
        if _all_have(records, "nats", name):
            tokens = np.array([record["target_tokens"] for record in records])
            figures[name] = ratio_of(_column(records, "nats", name), tokens)
    return figures


def _all_have(records: Iterable[Record], key: str, name: str) -> bool:
    return all(name in record.get(key, {}) for record in records)


def _column(records: Iterable[Record], key: str, name: str) -> NDArray[np.float64]:
    return np.array([record[key][name] for record in records], np.float64)


def _table(comparisons: Sequence[Comparison]) -> str:
    """The comparisons as aligned text."""

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.4f}"

    rows: list[tuple[Any, ...]] = [("metric", "A", "B", "B - A", "95 % interval", "verdict")]
    for c in comparisons:
        interval = "" if c.low is None or c.high is None else f"[{c.low:+.4f}, {c.high:+.4f}]"
        row = (number(c.a), number(c.b), f"{c.difference:+.4f}", interval, c.verdict)
        rows.append((c.metric, *row))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = (
        "  ".join(
            cell.rjust(width) if 0 < i < 5 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


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
