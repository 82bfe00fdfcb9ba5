"""Which predictions the gallery shows, and what each of its cards says."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.evaluation.references import COPY_LAST, GROUND_TRUTH, MODEL
from pipeline.evaluation.results import Record, images_of
from pipeline.images.reader import Place
from pipeline.report.chart import Axis
from pipeline.report.pictures import Picture, Use


@dataclass(frozen=True)
class Card:
    """One story of the gallery; `record` is its line of predictions.jsonl."""

    number: int
    """From 1, in the order that the page is written in."""
    record: Record
    of: int
    """Stories in its split."""
    context: list[tuple[Picture, str]]
    target: Picture
    marks: list[tuple[str, float, float]]
    """Row, score, and position on a scale that all cards share, in percent."""
    tags: list[str]

    @property
    def gap(self) -> float:
        """How far the model's caption is above (or, if negative, below) the true one."""
        return self.record["score"] - self.record["reference_score"]


def choose(records: Sequence[Record], most: int, first: str) -> list[Record]:
    """Choose at most so many stories: those of split `first`, then the others' as there is room.

    Of a split with too many, a third are its best, a third its worst by score, and the rest are
    drawn by hash of their ids. All are given in the order of that hash, so that a reader who
    changes nothing sees a fair sample from the top.
    """
    splits = sorted(
        {record["split"] for record in records}, key=lambda split: (split != first, split)
    )
    chosen: list[Record] = []
    for split in splits:
        pool = sorted((r for r in records if r["split"] == split), key=_draw)
        chosen += _sample(pool, most - len(chosen))
    return chosen


def _sample(pool: list[Record], most: int) -> list[Record]:
    if len(pool) <= most:
        return pool
    third = most // 3
    by_score = sorted(range(len(pool)), key=lambda i: -pool[i]["score"])
    kept = set(by_score[:third]) | set(by_score[len(pool) - third :])
    for i in range(len(pool)):
        if len(kept) < most:
            kept.add(i)
    return [pool[i] for i in sorted(kept)]


def _draw(record: Record) -> bytes:
    return hashlib.sha256(f"{record['split']}:{record['story_id']}".encode()).digest()


def telling(records: Sequence[Record], split: str) -> list[tuple[str, int]]:
    """The best, the middle and the worst story of a split by score, as titles and positions.

    None of them where the split has fewer than three stories.
    """
    ranked = sorted(
        (i for i, record in enumerate(records) if record["split"] == split),
        key=lambda i: -records[i]["score"],
    )
    if len(ranked) < 3:
        return []
    middle = ranked[len(ranked) // 2]
    return [("Its best", ranked[0]), ("In the middle", middle), ("Its worst", ranked[-1])]


def picture_uses(records: Sequence[Record], featured: Sequence[Record]) -> dict[Place, Use]:
    """The pictures of the records that have a card, and how the page shows each; the targets of
    `featured` are shown once more."""
    targets = [images_of(record)[-1] for record in [*records, *featured]]
    contexts = [place for record in records for place in images_of(record)[:-1]]
    times = Counter([*targets, *contexts])
    large = set(targets)
    return {place: Use(place in large, count) for place, count in times.items()}


def make_cards(
    records: Sequence[Record], pictures: Mapping[Place, Picture], sizes: Mapping[str, int]
) -> list[Card]:
    """A card per record; `sizes` are the stories of each split."""
    axis = Axis.over([score for record in records for score in record["scores"].values()])

    def card(number: int, record: Record) -> Card:
        *context, target = (pictures[place] for place in images_of(record))
        return Card(
            number,
            record,
            sizes.get(record["split"], len(records)),
            list(zip(context, record["context"], strict=True)),
            target,
            [(row, score, axis.at(score)) for row, score in record["scores"].items()],
            _tags(record),
        )

    return [card(number, record) for number, record in enumerate(records, start=1)]


def _tags(record: Record) -> list[str]:
    """What the filter of the page asks for."""
    scores, rank = record["scores"], record.get("rank")
    tags = {
        "found": rank == 1,
        "missed": rank is not None and rank > 10,
        "below-copy": COPY_LAST in scores and scores[MODEL] < scores[COPY_LAST],
        "above-truth": scores[MODEL] >= scores[GROUND_TRUTH],
        "unfinished": not record["finished"],
    }
    return [tag for tag, holds in tags.items() if holds]
