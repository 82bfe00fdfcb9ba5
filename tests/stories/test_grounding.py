import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stories.grounding import frame_captions, strip_tags


def test_a_story_as_the_dataset_writes_it() -> None:
    story = """<gdi image1>
    <gdo char1 char2>Ann and Bo</gdo> <gda char1>enter</gda> <gdl bg1 lm1>the hall</gdl>.
    </gdi>

    <gdi image2>
    <gdo char1>Ann</gdo>'s   hat
    falls.
    </gdi>"""
    assert frame_captions(story, 2) == ["Ann and Bo enter the hall.", "Ann's hat falls."]


@pytest.mark.parametrize(
    ("story", "captions"),
    [
        pytest.param("<gdi image1>a <gdi image2>b", ["a", "b"], id="never closed"),
        pytest.param("<GDI Image1>A</GDI><Gdi IMAGE2>b</gDi>", ["A", "b"], id="upper case"),
        pytest.param("<gdi image2>b</gdi><gdi image1>a</gdi>", ["a", "b"], id="out of order"),
        pytest.param(
            "<gdi image1>a</gdi><gdi image2>b</gdi><gdi image1>c</gdi>", ["a c", "b"], id="repeated"
        ),
        pytest.param("<gdi image1>a <gdi image2>b</gdi> c</gdi>", ["a", "b c"], id="nested"),
        pytest.param("<gdi image2>b", ["", "b"], id="missing frame"),
        pytest.param("<gdi image1>a<gdi image3>c<gdi image2>b", ["a", "b"], id="frame too many"),
        pytest.param("<gdi image 1 men walk <gdi image2 b", ["men walk", "b"], id="unclosed"),
        pytest.param("< gdi image1 >a</ gdi ><gdi image_2>b", ["a", "b"], id="white space"),
        pytest.param("<gdiimage1>a</gdi><gdi image02>b", ["a", "b"], id="glued and zero"),
        pytest.param("<gdi image1>a</gdo> b</gdi></gdi><gdi image2>c", ["a b", "c"], id="stray"),
        pytest.param("<gdi image1>a</gdi> b <gdi image2>c", ["a b", "c"], id="text after closing"),
        pytest.param("Title <gdi image1>a<gdi image2>b", ["a", "b"], id="text before the first"),
        pytest.param("<gdi image1>a <gdi>b</gdi><gdi image2>c", ["a b", "c"], id="no number"),
        pytest.param(
            "<gdi image1><gdo c1 <gda c2>>a</gda></gdo><gdi image2><gd<gdo c1>i lm2>b",
            ["a", "b"],
            id="tags in tags",
        ),
        pytest.param(
            "<gdi image1>a</gdi <gdi image2>b</gdl a1", ["a", "b a1"], id="unclosed closing"
        ),
        pytest.param("<gdi image1>a</gdi image1><gdi image2>b", ["a", "b"], id="closing with id"),
        pytest.param("no tags at all", ["", ""], id="none"),
        pytest.param("", ["", ""], id="empty"),
    ],
)
def test_stories_that_are_out_of_order(story: str, captions: list[str]) -> None:
    assert frame_captions(story, 2) == captions


@pytest.mark.parametrize(
    "text", ["a < b and c > d", "1<2", "mail <ann@home>", "<3", "gdo char1", "<gdibber 5>"]
)
def test_what_only_looks_like_a_tag_stays(text: str) -> None:
    assert strip_tags(text) == text
    assert frame_captions(f"<gdi image1>{text}</gdi>", 1) == [text]


def test_an_unclosed_tag_takes_no_words_with_it() -> None:
    assert strip_tags("<gdo char1 char2 Two men walk 3 miles. <gda char1 They rest.") == (
        "Two men walk 3 miles. They rest."
    )


WORDS = st.text("abiMéß漢019.,;'!&/-", min_size=1, max_size=8)
IDS = st.lists(
    st.builds("{}{}".format, st.sampled_from(["char", "obj", "bg", "lm"]), st.integers(1, 99)),
    min_size=1,
    max_size=4,
).map(" ".join)
GAP = st.sampled_from([" ", "\n", "  ", "\t\n "])


@st.composite
def phrase(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Words, some of them within tags that may be nested or never closed; and the words alone."""
    words = draw(st.lists(WORDS, min_size=1, max_size=4))
    text = draw(GAP).join(words)
    for kind in draw(st.lists(st.sampled_from(["gdo", "gda", "gdl", "GDO", "Gda"]), max_size=2)):
        closing = draw(st.sampled_from([f"</{kind}>", f"</{kind.lower()}", "", "</gda>"]))
        text = f"<{kind} {draw(IDS)}>{text}{closing}"
    return text, words


@st.composite
def tagged_story(draw: st.DrawFn) -> tuple[str, list[list[str]]]:
    """A story of 1 to 6 frames told in any order, and each frame's words."""
    n_frames = draw(st.integers(1, 6))
    repeated = draw(st.lists(st.integers(1, n_frames), max_size=2))
    order = draw(st.permutations([*range(1, n_frames + 1), *repeated]))
    words: list[list[str]] = [[] for _ in range(n_frames)]
    story = draw(st.sampled_from(["", "Once upon a time. "]))
    for number in order:
        story += draw(
            st.sampled_from(["<gdi image{}>", "<GDI Image{}>\n", "<gdi image {}> "])
        ).format(number)
        for text, spoken in draw(st.lists(phrase(), min_size=1, max_size=3)):
            story += draw(GAP) + text
            words[number - 1] += spoken
        story += draw(st.sampled_from(["</gdi>", "", "\n</gdi>\n\n", "</GDI", "</gdi></gdo>"]))
    return story, words


@settings(deadline=None, max_examples=60)
@given(tagged_story())
def test_every_word_reaches_its_frame(told: tuple[str, list[list[str]]]) -> None:
    story, words = told
    assert [caption.split() for caption in frame_captions(story, len(words))] == [
        [part for word in spoken for part in word.split()] for spoken in words
    ]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["<", "</", "gdi", "gdo", " image1", "2", ">", " ", "word"])))
def test_no_jumble_raises_or_leaves_a_whole_tag(pieces: list[str]) -> None:
    for caption in frame_captions("".join(pieces), 2):
        assert caption == " ".join(caption.split())
        assert not re.search(r"</?gd[ioal]( [a-z]+\d+)*>", caption)


@pytest.mark.parametrize(
    "text",
    ["<gdi " * 5_000, "<gdo " + "a" * 20_000, "<gdo" + " a" * 20_000, "<gd" * 5_000 + "<gdo>" * 9],
)
def test_hostile_text_ends(text: str) -> None:
    strip_tags(text)
