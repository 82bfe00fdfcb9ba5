"""Whether a caption tells the place, the time, the weather and the action that its frame has.

The tables of the chain of thought say what they are in a word (`noon`, `kneel`), captions say it in
many (`around midday`, `was kneeling`). So a caption is read by a classifier of its words, one for
each field: complement naive Bayes (Rennie et al., ICML 2003), fitted to training captions and their
tables. How well it reads shows in the row of the true caption.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import ComplementNB

from pipeline.evaluation.lexicon import words_of
from pipeline.stories.annotations import Annotation

SETTING = {"place": "location", "time": "time", "weather": "weather"}
"""What is read -> the field of the setting that has it."""
ACTION = "action"
FIELDS = (*SETTING, ACTION)

COMMON = 10
"""Training frames that must have a value: what is rarer is not read, nor asked for."""


def values_of(annotation: Annotation, field: str) -> list[str]:
    """The values of a field in a frame: of its setting at most one, of actions one a character.

    Values are the stems of the content words; of an action the first, its verb.
    """
    if field == ACTION:
        told = [_content(text)[:1] for text in annotation["actions"]]
    else:
        told = [_content(text) for name, text in annotation["setting"] if name == SETTING[field]]
    return [" ".join(words) for words in told if words]


def _content(text: str) -> list[str]:
    return [word.stem for word in words_of(text) if word.content]


def _stems(text: str) -> list[str]:
    return [word.stem for word in words_of(text)]


@dataclass(frozen=True)
class FieldReader:
    """Reads the value of one field from a caption's words."""

    words: CountVectorizer
    classifier: ComplementNB

    @classmethod
    def fit(cls, captions: Sequence[str], values: Sequence[str]) -> Self | None:
        """Learn from captions and the value that each of them tells.

        Of values that fewer than `COMMON` captions tell nothing is learnt; None where that leaves
        less than two, or no words.
        """
        counts = Counter(values)
        rows = [i for i, value in enumerate(values) if counts[value] >= COMMON]
        told, labels = [captions[i] for i in rows], [values[i] for i in rows]
        if len(set(labels)) < 2 or not any(map(_stems, told)):
            return None
        words = CountVectorizer(analyzer=_stems, binary=True)
        return cls(words, ComplementNB().fit(words.fit_transform(told), labels))

    @property
    def values(self) -> frozenset[str]:
        """Those that it knows."""
        return frozenset(self.classifier.classes_.tolist())

    def read(self, captions: Sequence[str]) -> list[str]:
        """The value that each caption tells, or seems to."""
        read: list[str] = self.classifier.predict(self.words.transform(captions)).tolist()
        return read


def fit_readers(frames: Iterable[Annotation]) -> dict[str, FieldReader]:
    """A reader of each field, fitted to training frames; no field whose values are all rare."""
    told: dict[str, list[tuple[str, str]]] = {field: [] for field in FIELDS}
    for annotation in frames:
        for field, pairs in told.items():
            # Of several characters the first is the one whom the caption is about.
            for value in values_of(annotation, field)[:1]:
                pairs.append((annotation["caption"], value))
    readers = {field: FieldReader.fit(*_unzipped(pairs)) for field, pairs in told.items()}
    return {field: reader for field, reader in readers.items() if reader is not None}


def _unzipped(pairs: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [caption for caption, _ in pairs], [value for _, value in pairs]
