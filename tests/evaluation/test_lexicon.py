"""What a caption mentions, read from its words alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.lexicon import Lexicon, Mention
from pipeline.stories.annotations import Annotation


def annotated(caption: str, *mentions: tuple[str, str]) -> Annotation:
    """A frame whose tags stand around these: kind and text of each."""
    return {
        "caption": caption,
        "mentions": [{"kind": kind, "ids": "", "text": t, "told": True} for kind, t in mentions],
        "actions": [],
        "setting": [],
    }


def lexicon(*mentions: tuple[str, str]) -> Lexicon:
    return Lexicon.of([annotated("", *mentions)])


WORDS = lexicon(
    ("thing", "a watering pot"),
    ("thing", "the Pot"),
    ("thing", "boxes"),
    ("thing", "berries"),
    ("place", "in the old market"),
    ("person", "the man in a suit"),
    ("person", "Rosa"),
    ("person", "Rosa Luna"),
    ("person", "Will"),
    ("person", "him"),
    ("thing", "all that was left of the house that they had once lived in"),
)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        pytest.param("A pot stood there.", ["pot"], id="article"),
        pytest.param("POTS!", ["pot"], id="plural, upper case, punctuation"),
        pytest.param("a box of berries", ["box", "berry"], id="other plurals"),
        pytest.param("the pot's lid", ["pot"], id="possessive"),
        pytest.param("the watering pot", ["pot watering"], id="the longest match"),
        pytest.param("watering the pot", ["pot"], id="other order"),
        pytest.param("a teapot, a potter", [], id="word boundaries"),
        pytest.param("an old market and a market", ["market old"], id="part of an entry"),
        pytest.param("the man in a suit", ["man suit"], id="function words within"),
        pytest.param("a pot by another pot", ["pot"], id="each once"),
        pytest.param("Rosa gave him a rose", ["rosa"], id="pronouns and near words"),
        pytest.param("Rosa Luna waved", ["luna rosa"], id="full name"),
        pytest.param("she will go", [], id="a name that is a function word"),
        pytest.param("rosa", [], id="a name in lower case"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_reading(text: str, read: list[str]) -> None:
    assert [" ".join(sorted(mention.words)) for mention in WORDS.read(text)] == read


def test_clauses_and_pronouns_are_no_entries() -> None:
    assert all(len(key) <= 6 for key in WORDS.entries)
    assert not {("him",), ("will",), ("the", "pot")} & set(WORDS.entries)


def test_a_name_is_a_person_who_is_never_written_in_lower_case() -> None:
    found = lexicon(
        ("person", "Rosa"), ("person", "The Baker"), ("person", "the baker"), ("place", "Paris")
    )
    flags = {mention.words: (mention.person, mention.name) for mention in found.entries.values()}
    assert flags == {
        frozenset({"rosa"}): (True, True),
        frozenset({"baker"}): (True, False),
        frozenset({"paris"}): (False, False),
    }
    assert [mention.words for mention in found.read("A baker in paris")] == [{"baker"}, {"paris"}]


def test_short_forms_are_the_last_noun_and_the_parts_of_a_name() -> None:
    entries = WORDS.with_short_forms().entries
    assert {key for key in entries if key not in WORDS.entries} == {("market",), ("luna",)}
    assert entries["luna",].name and not entries["market",].name


def test_a_story_s_own_mentions_are_read_too_and_come_first() -> None:
    own = lexicon(("thing", "an old zither"), ("thing", "rosa"))
    read = WORDS.read("Rosa played an old zither", own)
    assert [(set(mention.words), mention.name) for mention in read] == [
        ({"rosa"}, False),
        ({"old", "zither"}, False),
    ]


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("basket", "woven basket", True),
        ("woven basket", "basket", True),
        ("woven basket", "woven rug", False),
        ("woven basket", "old basket", False),
        ("basket", "casket", False),
    ],
)
def test_mentions_are_the_same_when_one_says_no_word_that_the_other_does_not(
    a: str, b: str, same: bool
) -> None:
    first, second = (Mention(frozenset(text.split())) for text in (a, b))
    assert first.same([second]) is same
    assert not first.same([])


def test_what_is_mostly_no_mention_where_it_is_read_is_not_learnt() -> None:
    """A word that is tagged once and written in every frame; and one that a table alone has."""
    frames = [
        annotated("A light on the lamp.", ("thing", "a light"), ("thing", "the lamp")),
        annotated("A light heart by the lamp.", ("thing", "the lamp")),
        annotated("She made light of the lamp.", ("thing", "a lamp"), ("thing", "a zither")),
    ]
    learnt = Lexicon.learn(lambda: frames)
    assert set(learnt.entries) == {("lamp",), ("zither",)}
    assert {("lamp",), ("zither",), ("light",)} == set(Lexicon.of(frames).entries)


def test_of_frames_without_annotations_nothing_is_learnt() -> None:
    assert not Lexicon.learn(lambda: [annotated("A lamp.")]).entries
    assert not Lexicon.learn(lambda: []).read("A lamp.")


@given(st.lists(st.tuples(st.sampled_from(["person", "thing"]), st.text())), st.text(), st.data())
def test_any_text_is_read_and_an_entry_by_itself_is_found(
    mentions: list[tuple[str, str]], caption: str, data: st.DataObject
) -> None:
    found = lexicon(*mentions)
    found.read(caption)
    if mentions:
        kind_and_text: Any = data.draw(st.sampled_from(mentions))
        entry = found.entry(kind_and_text[1])
        if entry is not None:
            assert entry in found.read(kind_and_text[1])
