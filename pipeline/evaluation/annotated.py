"""What captions get right and wrong by the dataset's own annotations: counts for each story.

A frame holds what the tags of its caption and its tables name. What a caption mentions, read by the
lexicon, is right where the frame holds it, and hallucinated where neither the frame nor its context
does: CHAIR_i of Rohrbach et al. 2018, with all that is mentioned in place of 80 kinds of objects.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.evaluation.agreement import FieldReader, fit_readers, values_of
from pipeline.evaluation.lexicon import Lexicon, Mention
from pipeline.evaluation.metrics import Columns
from pipeline.evaluation.stories import SplitStories
from pipeline.stories.annotations import (
    PLACE,
    THING,
    Annotation,
    iter_annotations,
    read_annotations,
)

COUNTS = (
    *("mentions", "mentions_right", "mentions_nowhere"),
    *("names", "names_right", "names_nowhere"),
    *("entities", "entities_found", "things", "things_found", "places", "places_found"),
    *("cast", "cast_found"),
)
"""Columns of counts: of mentions in the caption, and of the names among them; of entities that the
true caption tells, and of the things, places and people by name among them."""


class Entity(NamedTuple):
    """Somebody, something or some place, by every mention of it in a frame."""

    kind: str
    mentions: list[Mention]

    def among(self, read: Sequence[Mention]) -> bool:
        """Whether one of its mentions was read."""
        return any(mention.same(read) for mention in self.mentions)


@dataclass(frozen=True)
class Held:
    """What a target frame and its context hold."""

    own: Lexicon
    """Of both, and what the target holds in short forms too."""
    target: list[Mention]
    anywhere: list[Mention]
    """Of both."""
    told: list[Entity]
    """Those that the target's caption tells."""

    @classmethod
    def of(cls, target: Annotation, context: Iterable[Annotation]) -> Self:
        here, every = Lexicon.of([target]), Lexicon.of([target, *context])
        own = Lexicon({**here.with_short_forms().entries, **every.entries})
        told: dict[str, Entity] = {}
        for mention in target["mentions"]:  # tags first: tables add names to what those tell
            entry = own.entry(mention["text"])
            if entry and (mention["told"] or mention["ids"] in told):
                entity = Entity(mention["kind"], [])
                told.setdefault(mention["ids"] or mention["text"], entity).mentions.append(entry)
        return cls(own, [*here.entries.values()], [*every.entries.values()], [*told.values()])


class AnnotationScorer:
    """Scores captions of val and test by annotations, having learnt to read from those of train."""

    def __init__(
        self, lexicon: Lexicon, readers: Mapping[str, FieldReader], annotations: pa.Table
    ) -> None:
        """`annotations` are of the frames whose rows `SplitStories` gives."""
        self._lexicon = lexicon
        self._readers = readers
        self._annotations = annotations

    @classmethod
    def learn(cls, annotations: Path, train: Sequence[str], frames: pa.Table) -> Self:
        """Learn to read from the stories `train`, to score captions for those of `frames`.

        Args:
            annotations: the table of annotations.
            frames: `story_id` and `caption` of the frames of val and test.

        Raises:
            UserError: if the annotations are missing, damaged, or of other frames.
        """

        def training() -> Iterable[Annotation]:
            for batch in iter_annotations(annotations, train):
                yield from batch.to_pylist()

        scored = read_annotations(annotations, frames)
        return cls(Lexicon.learn(training), fit_readers(training()), scored)

    def columns(
        self, captions: Mapping[str, Sequence[str]], stories: SplitStories
    ) -> dict[str, Columns]:
        """The counts of each row of captions.

        Args:
            captions: row -> captions of the N stories.

        Returns:
            row -> `COUNTS`, and for each field that is read `{field}_asked` and `{field}_right`,
            [N] each; without those that training stories have no annotations for.
        """
        windows = stories.windows
        targets = self._of(windows.target)
        contexts = self._of(windows.context.reshape(-1))
        k = windows.context.shape[1]
        held = [Held.of(target, contexts[i * k : (i + 1) * k]) for i, target in enumerate(targets)]
        found: dict[str, Columns] = {}
        for row, texts in captions.items():
            found[row] = self._agreement(texts, targets)
            if self._lexicon.entries:
                counts = [self.count(*each) for each in zip(texts, held, strict=True)]
                found[row] |= {name: np.array([of[name] for of in counts]) for name in COUNTS}
        return found

    def _of(self, rows: NDArray[np.int64]) -> list[Annotation]:
        annotations: list[Annotation] = self._annotations.take(pa.array(rows)).to_pylist()
        return annotations

    def count(self, text: str, held: Held) -> dict[str, int]:
        """`COUNTS` of one caption; zeros where nobody has said what the frame holds."""
        if not held.target:
            return dict.fromkeys(COUNTS, 0)
        read = self._lexicon.read(text, held.own)
        wrong = [mention for mention in read if not mention.same(held.target)]
        nowhere = [mention for mention in wrong if not mention.same(held.anywhere)]
        names = _names(read)
        counts = {
            "mentions": len(read),
            "mentions_right": len(read) - len(wrong),
            "mentions_nowhere": len(nowhere),
            "names": len(names),
            "names_right": len(names) - len(_names(wrong)),
            "names_nowhere": len(_names(nowhere)),
        }
        for told, entities, by in (
            ("entities", held.told, read),
            ("things", [entity for entity in held.told if entity.kind == THING], read),
            ("places", [entity for entity in held.told if entity.kind == PLACE], read),
            ("cast", [entity for entity in held.told if _names(entity.mentions)], names),
        ):
            counts[told] = len(entities)
            counts[f"{told}_found"] = sum(entity.among(by) for entity in entities)
        return counts

    def _agreement(self, texts: Sequence[str], targets: Sequence[Annotation]) -> Columns:
        columns: Columns = {}
        for field, reader in self._readers.items():
            values = [reader.values & {*values_of(target, field)} for target in targets]
            pairs = zip(reader.read(texts), values, strict=True)
            columns[f"{field}_asked"] = np.array([len(told) > 0 for told in values], int)
            columns[f"{field}_right"] = np.array([read in told for read, told in pairs], int)
        return columns


def _names(mentions: Iterable[Mention]) -> list[Mention]:
    return [mention for mention in mentions if mention.name]
