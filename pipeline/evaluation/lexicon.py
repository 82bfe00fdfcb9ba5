"""Reads which people, things and places a caption mentions, tagged or not.

The words come from the training stories: what their tags stand around and their tables name. As in
CHAIR (Rohrbach et al., Object Hallucination in Image Captioning, EMNLP 2018), a caption is searched
for them. Where CHAIR has lists of synonyms, two mentions are the same here when all content words
of one are words of the other: `a woven basket` is `the basket`, and not `a woven rug`.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import NamedTuple, Self

from pipeline.prepare.function_words import FUNCTION_WORDS
from pipeline.stories.annotations import PERSON, Annotation

LONGEST = 6
"""Words of a mention at most: what is longer in a tag is a clause."""

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_POSSESSIVE = re.compile(r"['’]s?$")
_PLURALS = (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x"), ("s", ""))
_NO_PLURAL = ("ss", "us", "is")


class Word(NamedTuple):
    """A word of a text."""

    stem: str
    """In lower case, singular, not possessive."""
    content: bool
    """Whether it is no function word: an article, pronoun, preposition, ..."""
    capital: bool


Key = tuple[str, ...]
"""The stems of a mention, function words at its ends left out."""


@dataclass(frozen=True)
class Mention:
    """Somebody, something or some place that a text mentions."""

    words: frozenset[str]
    """Stems of its content words, at least one."""
    person: bool = False
    name: bool = False
    """Whether it is a person's name: never written in lower case, and not read there."""

    def same(self, others: Iterable["Mention"]) -> bool:
        """Whether one of the others is the same: all words of one are words of the other."""
        return any(self.words <= other.words or other.words <= self.words for other in others)


def words_of(text: str) -> list[Word]:
    """The words of a text in order."""
    return [_word(found) for found in _WORD.findall(text)]


def _word(written: str) -> Word:
    lower = _POSSESSIVE.sub("", written.lower())
    content = written.lower() not in FUNCTION_WORDS and lower not in FUNCTION_WORDS
    return Word(_singular(lower), content, written[0].isupper())


def _singular(word: str) -> str:
    """English plurals as nouns commonly form them; of others (axes, shelves) both stay apart."""
    if len(word) > 3 and not word.endswith(_NO_PLURAL):
        for ending, singular in _PLURALS:
            if word.endswith(ending):
                return word.removesuffix(ending) + singular
    return word


@lru_cache(maxsize=2**16)
def _core(text: str) -> tuple[Word, ...]:
    """The words of a mention from its first content word to its last; none if it has none, or is
    too long for one."""
    words = words_of(text)
    places = [i for i, word in enumerate(words) if word.content]
    core = tuple(words[places[0] : places[-1] + 1]) if places else ()
    return core if len(core) <= LONGEST else ()


def content_of(words: Iterable[Word]) -> frozenset[str]:
    """The stems of the content words."""
    return frozenset(word.stem for word in words if word.content)


@dataclass(frozen=True)
class Lexicon:
    """Mentions by their key."""

    entries: Mapping[Key, Mention]

    @classmethod
    def of(cls, annotations: Iterable[Annotation]) -> Self:
        """Everything that is mentioned in some frames' tags and tables."""
        people: Counter[Key] = Counter()
        others: Counter[Key] = Counter()
        lower: set[Key] = set()
        content: dict[Key, frozenset[str]] = {}
        for mention in (each for annotation in annotations for each in annotation["mentions"]):
            if words := _core(mention["text"]):
                key = tuple(word.stem for word in words)
                (people if mention["kind"] == PERSON else others)[key] += 1
                content[key] = content_of(words)
                if any(word.content and not word.capital for word in words):
                    lower.add(key)
        entries = {}
        for key, stems in content.items():
            person = people[key] > others[key]
            entries[key] = Mention(stems, person, person and key not in lower)
        return cls(entries)

    def with_short_forms(self) -> Self:
        """With what a text may say for short: `cellar` for a dark cellar, each part of a name."""
        entries = dict(self.entries)
        for key, mention in self.entries.items():
            if mention.words.issuperset(key):  # in `the man in a suit` the last word is another's
                for stem in key if mention.name else key[-1:]:
                    entries.setdefault((stem,), replace(mention, words=frozenset([stem])))
        return type(self)(entries)

    @classmethod
    def learn(cls, frames: Callable[[], Iterable[Annotation]]) -> Self:
        """The mentions of training frames, without those that are mostly something else.

        A word that is tagged once and written everywhere, such as `light`, would make a mention of
        each of its uses. So a mention must be in the tags or tables of at least half of the
        frames whose captions it is read in.

        Args:
            frames: gives the annotations of the training frames; asked twice.
        """
        every = cls.of(frames()).with_short_forms()
        read: Counter[frozenset[str]] = Counter()
        right: Counter[frozenset[str]] = Counter()
        for annotation in frames():
            own = cls.of([annotation]).entries.values()
            for mention in every.read(annotation["caption"]):
                read[mention.words] += 1
                right[mention.words] += mention.same(own)
        return cls(
            {
                key: mention
                for key, mention in every.entries.items()
                if 2 * right[mention.words] >= read[mention.words]
            }
        )

    @cached_property
    def longest(self) -> int:
        """Words of its longest mention."""
        return max(map(len, self.entries), default=0)

    def entry(self, text: str) -> Mention | None:
        """The entry of what a tag or a cell says; None for others, pronouns and clauses."""
        return self.entries.get(tuple(word.stem for word in _core(text)))

    def read(self, text: str, own: "Lexicon | None" = None) -> list[Mention]:
        """What a text mentions, each once, in order; of several that begin at a word the longest.

        Args:
            own: mentions of this story, which come before those that were learnt.
        """
        words = words_of(text)
        found: dict[frozenset[str], Mention] = {}
        lexicons = [lexicon for lexicon in (own, self) if lexicon is not None]
        longest = max(lexicon.longest for lexicon in lexicons)
        at = 0
        while at < len(words):
            for end in range(min(at + longest, len(words)), at, -1):
                key = tuple(word.stem for word in words[at:end])
                entries = (lexicon.entries.get(key) for lexicon in lexicons)
                mention = next((entry for entry in entries if entry), None)
                if mention and not (
                    mention.name and any(w.content and not w.capital for w in words[at:end])
                ):
                    found.setdefault(mention.words, mention)
                    at = end
                    break
            else:
                at += 1
        return list(found.values())
