import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.prepare.grounding import (
    Mention,
    frame_captions,
    frame_mentions,
    has_frame_tags,
    plain_captions,
)


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
        pytest.param("<gdi image 1 men walk <gdi image2 z", ["men walk", "z"], id="unclosed"),
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
    assert frame_captions(f"<gdi image1>{text}</gdi>", 1) == [text]


def test_an_unclosed_tag_takes_no_words_with_it() -> None:
    story = "<gdi image1><gdo char1 char2 Two men walk 3 miles. <gda char1 They rest."
    assert frame_captions(story, 1) == ["Two men walk 3 miles. They rest."]


@pytest.mark.parametrize(
    "tag",
    (
        "<gdi image2> | <gdi image02> | <gdi image_2> | <gdi image-2> | <gdi Image 2> | "
        "<gdi IMG02> | <gdi img 2> | <gdi frame#2> | <gdi Frame: 2> | <gdi frame2.jpg> | "
        '<gdi 2> | <gdi #2> | <gdi2> | <gdiimage2> | <gdi id="image2"> | '
        "<gdi image2 char1> | <gdi char1 image2> | <gdi 2, char1> | <gdi image2 | "
        "<<gdi image2>> | gdi image2>"
    ).split(" | "),
)
def test_a_frame_is_named_by_image_img_frame_or_a_bare_number(tag: str) -> None:
    story = f"<gdi image1>first {tag} second <gdi image3>third"
    assert frame_captions(story, 3) == ["first", "second", "third"]
    assert has_frame_tags(f"{tag} second")


@pytest.mark.parametrize(
    "tag",
    ["<gdi char2>", "<gdi bg2>", "<gdi lm 2>", "<gdi obj-2>", "<gdi>", "<gdi image>", "<gdi char2"],
)
def test_a_tag_that_names_no_frame_marks_none(tag: str) -> None:
    assert frame_captions(f"<gdi image1>one {tag} goes on", 2) == ["one goes on", ""]
    assert not has_frame_tags(f"{tag} goes on")
    assert not has_frame_tags("<gdo image1>neither</gdo> does </gdi image1> this")


@pytest.mark.parametrize(
    "between", ["## Image 2", "**Image 2:**", "---", "* * *", "```xml", "Two:"]
)
def test_where_every_frame_is_closed_nothing_between_frames_is_caption(between: str) -> None:
    story = f"# A title\n<gdi image1>\na\n</gdi>\n\n{between}\n<gdi image2>b</gdi>\n\n{between}\n"
    assert frame_captions(story, 2) == ["a", "b"]
    nested = f"<gdi image1>a <gdi char1>Tom</gdi> c</gdi> {between} <gdi image2>b</gdi>"
    assert frame_captions(nested, 2) == ["a Tom c", "b"]


@pytest.mark.parametrize(
    "line",
    [
        *("# Dusk", "###### <gdo char1>Tom</gdo>'s way", "##", "---", "***", " * * * ", "_____"),
        *("———", "===", "```", "```xml", "~~~", "Image 2:", "**Frame #2**", "--- Image 2 ---"),
    ],
)
def test_where_one_is_open_lines_of_layout_are_no_caption_and_sentences_are(line: str) -> None:
    story = f"```\n<gdi image1>\na\n{line}\nb</gdi>{line}\n<gdi image2>\n{line}\nc\n\n{line}\n"
    assert frame_captions(story, 2) == ["a b", "c"]


@pytest.mark.parametrize(
    "text",
    (
        "He was #1 at last. | She said: --- and no more. | In image 2 she smiled. | "
        "- a list | 2 * * * 3 | `code` | -- | … | #winning"
    ).split(" | "),
)
def test_sentences_with_signs_of_layout_stay(text: str) -> None:
    assert frame_captions(f"<gdi image1>\n{text}\n<gdi image2>b", 2) == [text, "b"]


MANY = [f"char{n}" for n in range(1, 18)]


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        pytest.param("Tom /gdo> runs", "Tom runs", id="closing without <"),
        pytest.param("gdo char1>Tom</gdo> runs", "Tom runs", id="opening without <"),
        pytest.param("<<gdo char1>>Tom<</gdo>> runs", "Tom runs", id="doubled brackets"),
        pytest.param("<<gdo char1 Tom <</gdo runs", "Tom runs", id="doubled and unclosed"),
        pytest.param("<gdochar1>Tom</gdo> runs", "Tom runs", id="glued id"),
        pytest.param("<gdo char1Tom</gdo> runs", "Tom runs", id="id glued to the word"),
        pytest.param(f"<gdo {' '.join(MANY)}>All</gdo> run", "All run", id="17 ids"),
        pytest.param(f"<gdo {', '.join(MANY)}>All</gdo> run", "All run", id="17 ids, commas"),
        pytest.param(f"<gdo {' '.join(MANY)} All</gdo> run", "All run", id="17 ids, unclosed"),
        pytest.param("Tom<\\/gdo> runs", "Tom runs", id="escaped slash"),
        pytest.param("<gdo\0char1>Tom</g\u200bdo> runs", "Tom runs", id="invisible in tags"),
    ],
)
def test_nothing_of_a_broken_tag_stays(text: str, caption: str) -> None:
    assert frame_captions(f"<gdi image1>{text}</gdi>", 1) == [caption]
    assert frame_captions(f"<gdi image1>{text}", 1) == [caption]


@pytest.mark.parametrize(
    "cut",
    ("< | </ | <g | </gd | <gdo | </gdi | <gdo ch | <gda char1 o | <gdl bg1, lm | <gdi im").split(
        " | "
    ),
)
def test_a_tag_cut_off_at_the_end_goes(cut: str) -> None:
    assert frame_captions(f"<gdi image1>Tom runs {cut}", 1) == ["Tom runs"]


def test_words_at_the_end_of_a_story_that_was_cut_off_stay() -> None:
    assert frame_captions("<gdi image1><gdo char1 Tom", 1) == ["Tom"]
    assert frame_captions("<gdi image1>a < b", 1) == ["a < b"]


@pytest.mark.parametrize(
    "blank",
    ["\0", "\u200b", "\ufeff", "\u200d\u200c", "\x01\x7f\x85", "\u2060 \u00ad", "\ufe0f", "\u3164"],
)
def test_what_nobody_sees_is_no_caption_and_leaves_captions(blank: str) -> None:
    assert frame_captions(f"<gdi image1>{blank}</gdi>", 1) == [""]
    assert frame_captions(f"<gdi image1>{blank} \n{blank}</gdi>", 1) == [""]


def test_invisible_characters_within_words_go_and_joiners_stay() -> None:
    story = "\ufeff<gdi image1>A\0nn\u200ba wal\u00adks\u202e.</gdi>"
    assert frame_captions(story, 1) == ["A nna walks."]
    for word in ("\u0645\u06cc\u200c\u062e", "👩\u200d👧", "❤\ufe0f", "क्\u200dष"):
        assert frame_captions(f"<gdi image1>{word}", 1) == [word]


def test_a_special_token_in_a_caption_is_text() -> None:
    assert frame_captions("<gdi image1>End <|endoftext|> it</gdi>", 1) == ["End <|endoftext|> it"]


WORDS = st.text("abiMéß漢019.,;'!&/-", min_size=1, max_size=8).filter(
    lambda word: set(word) != {"-"}  # a rule, where it stands alone
)
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
    """A story of 1 to 6 frames told in any order, and each frame's words.

    Layout may stand between frames, and sentences where all of them are closed.
    """
    n_frames = draw(st.integers(1, 6))
    repeated = draw(st.lists(st.integers(1, n_frames), max_size=2))
    order = draw(st.permutations([*range(1, n_frames + 1), *repeated]))
    words: list[list[str]] = [[] for _ in range(n_frames)]
    closed = draw(st.booleans())
    story = draw(st.sampled_from(["", "Once upon a time. "]))
    for number in order:
        story += draw(
            st.sampled_from(["<gdi image{}>", "<GDI Image{}>\n", "<gdi image {}> ", "<gdi {}>"])
        ).format(number)
        for text, spoken in draw(st.lists(phrase(), min_size=1, max_size=3)):
            story += draw(GAP) + text
            words[number - 1] += spoken
        endings = ["</gdi>", "\n</gdi>\n\n", "</GDI", "</gdi></gdo>", *([] if closed else [""])]
        story += draw(st.sampled_from(endings))
        story += draw(st.sampled_from(["", "\n---\n", "\n\n# Dusk\n", "\n```\n", "\nFrame 2:\n"]))
        story += draw(st.sampled_from(["", " Later that day. "])) if closed else ""
    return story, words


@settings(max_examples=60)
@given(tagged_story())
def test_every_word_reaches_its_frame(told: tuple[str, list[list[str]]]) -> None:
    story, words = told
    assert [caption.split() for caption in frame_captions(story, len(words))] == [
        [part for word in spoken for part in word.split()] for spoken in words
    ]


def test_a_tag_of_any_number_of_slashes_is_one() -> None:
    assert frame_captions("<gdi image1>She runs.<////gdi> <\\\\\\\\gdo>", 1) == ["She runs."]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["<", "</", "gdi", "gdo", " image1", "2", ">", " ", "word"])))
def test_no_jumble_raises_or_leaves_a_whole_tag(pieces: list[str]) -> None:
    for caption in frame_captions("".join(pieces), 2):
        assert caption == " ".join(caption.split())
        assert not re.search(r"</?gd[ioal]( [a-z]+\d+)*>", caption)


RESIDUE = re.compile(r"<[\s/\\]*gd[ioal](?![a-z])|[/\\]gd[ioal]\s*>|gd[ioal] char\d+\s*>", re.I)


@settings(max_examples=60)
@given(tagged_story(), st.data())
def test_no_mutilated_story_raises_or_leaves_residue(
    told: tuple[str, list[list[str]]], data: st.DataObject
) -> None:
    """Brackets doubled, dropped or moved, the text cut off anywhere."""
    story, words = told
    pieces = re.split(r"([<>/])", story)
    brackets = [n for n, piece in enumerate(pieces) if piece and piece in "<>/"]
    for n in data.draw(st.lists(st.sampled_from(brackets), max_size=6)):
        pieces[n] = data.draw(st.sampled_from(["", pieces[n] * 2, f" {pieces[n]}", "\0"]))
    story = "".join(pieces)
    story = story[: data.draw(st.integers(0, len(story)))]
    for caption in frame_captions(story, len(words)):
        assert caption == " ".join(caption.split())
        assert not RESIDUE.search(caption)


@settings(max_examples=60)
@given(st.text(), st.integers(1, 3))
def test_any_text_gives_captions(text: str, n_frames: int) -> None:
    assert len(frame_captions(text, n_frames)) == n_frames
    assert len(frame_captions(f"<gdi image1>{text}</gdi>", n_frames)) == n_frames


HOSTILE = [
    *(
        "/",
        "<gdo ",
        "<gdi ",
        "<gdi image1 ",
        "<",
        "< ",
        "</",
        "<gd",
        "gdo ",
        "gdo char1 ",
        "image1 ",
    ),
    *("<gdo c1>a", "</gdo>a", "<gdo c1><gdl b1>a</gdo>"),
    *("<gdo a a a a a a a a", "<gdo" + " " * 50, " \n", "`", "* ", "#", "\0"),
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("opening", ["", "<gdi image1>", "<gdo", "<gdi image"])
def test_hostile_text_ends_like_any_other(text: str, opening: str) -> None:
    """Backtracking that grew with the square of its length would take hours."""
    for ending in ("", "x"):
        story = opening + text * (200_000 // len(text)) + ending
        assert len(frame_captions(story, 5)) == len(frame_mentions(story, 5)) == 5


SEEN = st.text(st.characters(exclude_categories=["C", "M"]))
PIECES = st.sampled_from(["<gdi image2>", "</gdi>", "# Dusk", "\n---\n", "Image 2:", "<", "&lt;"])


@given(st.lists(st.lists(st.one_of(SEEN, PIECES)).map("".join)))
def test_captions_given_one_by_one_come_out_to_the_letter(given: list[str]) -> None:
    wanted = [" ".join(text.split()) for text in given]
    blanks = "".join("\u115f\u1160\u2800\u3164\uffa0 ")
    assert plain_captions(given) == [text if text.strip(blanks) else "" for text in wanted]


@pytest.mark.parametrize("blank", [None, "", " \n", "\u200b\0"])
def test_what_shows_nothing_is_no_caption_where_it_is_given_either(blank: str | None) -> None:
    assert plain_captions([blank, "A\u200bnn\0walks\u202e"]) == ["", "Ann walks"]


def test_mentions_as_the_dataset_tags_them() -> None:
    story = """<gdi image1>
    <gdo char1 char2>Ann and Bo</gdo> <gda char1>enter</gda> <gdl bg1 lm1>the hall</gdl> with
    <gdo OBJ3>a lamp</gdo>.
    </gdi>
    <gdi image2><gdo char1>She</gdo> falls.</gdi>"""
    assert frame_mentions(story, 3) == [
        [
            Mention("o", ("char1", "char2"), "Ann and Bo"),
            Mention("l", ("bg1", "lm1"), "the hall"),
            Mention("o", ("obj3",), "a lamp"),
        ],
        [Mention("o", ("char1",), "She")],
        [],
    ]


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        pytest.param("<gdo char1>Ann walks", [], id="never closed"),
        pytest.param("Ann</gdo> walks", [], id="never opened"),
        pytest.param("<gdo char1> </gdo>", [], id="no words"),
        pytest.param("<gdo>Ann</gdo>", [("Ann", ())], id="no id"),
        pytest.param("<gdo the woman>Ann</gdo>", [("Ann", ())], id="words for ids"),
        pytest.param("<GDO Char 1>Ann</GdO>", [("Ann", ("char1",))], id="upper case"),
        pytest.param("<gdo char1>A</gdl>nn</gdo>", [("Ann", ("char1",))], id="another's closing"),
        pytest.param(
            "<gdo char1>Ann's <gdo obj2>lamp</gdo></gdo>",
            [("lamp", ("obj2",)), ("Ann's lamp", ("char1",))],
            id="nested",
        ),
        pytest.param(
            "<gdo char1><gda char1>Ann walks</gda></gdo>", [("Ann walks", ("char1",))], id="action"
        ),
    ],
)
def test_mentions_of_broken_tags(text: str, mentions: list[tuple[str, tuple[str, ...]]]) -> None:
    (found,) = frame_mentions(f"<gdi image1>{text}</gdi>", 1)
    assert [(mention.text, mention.ids) for mention in found] == mentions


PARTS = st.sampled_from(
    "<gdi image1>;<gdi image2>;</gdi>;<gdo char1>;<gdo obj;<gdl bg1 lm1>;<gda char1>;</gdo>;</gdl>;"
    "</gda>;</gdo;Ann;the hall; ;\n;>;<;# Dusk\n".split(";")
)


@given(st.lists(PARTS | st.text(), max_size=40).map("".join))
def test_mentions_of_any_text_are_words_without_tags(story: str) -> None:
    mentions = frame_mentions(story, 2)
    assert len(mentions) == 2
    for mention in (each for frame in mentions for each in frame):
        assert mention.text == " ".join(mention.text.split()) != ""
        assert not RESIDUE.search(mention.text)
        assert all(re.fullmatch(r"[a-z]+[_#-]?[0-9]+", one) for one in mention.ids)
