"""Captions from grounded stories: what `<gdi>`, `<gdo>`, `<gda>` and `<gdl>` tags leave behind.

A story marks its frames with `<gdi image1>` ... (closed by `</gdi>` or not), entities with
`<gdo char1 char2>...</gdo>`, actions with `<gda char1>...</gda>` and places with
`<gdl bg1 lm1>...</gdl>`. The stories are written by a language model, so tags come broken: in
upper case, unclosed, nested, repeated, out of order, cut off. Nothing here raises; a frame that no
tag speaks of has the empty caption, and it is the caller's to refuse it.

Source of the tags: Oliveira and Martins, StoryReasoning (arXiv:2505.10292).
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_FRAME = r"(?:image|img|frame)"
_KIND = r"(?:image|img|frame|char|obj|lm|bg)"
# What surely is an id: in a tag that lost its `>`, the words after it are the story's.
_SURE_ID = rf"(?:[a-z]{{1,12}}[0-9]{{1,9}}\b|{_KIND}[\s_\#-]{{0,3}}[0-9]{{1,9}}(?![0-9]))"
_SURE_IDS = rf"(?:[\s,:]*+{_SURE_ID})*+"

# Every quantifier that could take long on hostile text is possessive or bounded.
_TAG = re.compile(
    rf"""
    (?P<head> (?<!<) <++ \s{{0,3}} )?      # doubled, or lost where the rest leaves no doubt
    (?(head) | (?<![a-z0-9]) )
    (?P<closes> [/\\]{{1,64}}+ \s{{0,3}} )?
    gd (?P<kind> [ioal] ) (?= [^a-z] | $ | {_KIND} [\s_\#-]{{0,3}} [0-9] )
    (?:
        (?P<ids> {_SURE_IDS} ) \s*+ >++   # whole; more than one `>` after nesting
    |
        (?(head) | (?!) )
        (?(closes)                        # without its `>`
        |
            (?: (?P<any> [^\s<>]{{0,40}}+ (?: \s++ [^\s<>]{{1,40}}+ ){{0,16}}+ ) \s*+ >++
            |   (?P<sure> {_SURE_IDS} ) )
        )
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NESTING = 8  # tags within the angle brackets of tags, and open at a time: no text takes long

# The beginning of a tag at the end of a story that was cut off in the middle of it.
_PART_OF_KIND = "|".join(
    kind[:n]
    for kind in ("image", "img", "frame", "char", "obj", "lm", "bg")
    for n in range(len(kind), 0, -1)
)
_CUT_OFF = re.compile(
    rf"""
    (?<!<) <++ \s*+
    (?: gd[ioal] {_SURE_IDS} [\s,:]*+ (?: {_PART_OF_KIND} )? | (?: [/\\]++ \s*+ )? (?: gd? )? )
    \s*+ \Z
    """,
    re.IGNORECASE | re.VERBOSE,
)

_FRAME_ID = re.compile(
    rf"(?<![a-z0-9]){_FRAME}[\s_#:.-]{{0,3}}([0-9]{{1,9}})(?![a-z0-9])", re.IGNORECASE
)
_BARE_NUMBER = re.compile(
    rf"[\s_\#:-]*+ ([0-9]{{1,9}}) {_SURE_IDS} [\s,:]*+", re.IGNORECASE | re.VERBOSE
)

# Control characters that are no white space: they stand where something was, and separate words.
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
# Soft hyphens, zero-width spaces, marks of direction, byte order marks. The joiners U+200C and
# U+200D stay: they spell words of many scripts, and emoji.
_INVISIBLE = re.compile(
    "[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_BLANKS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols by their category, yet no ink

_ID = re.compile(r"[a-z]{1,12}[\s_#-]{0,3}[0-9]{1,9}(?![0-9])", re.IGNORECASE)

_RULE = "-*_=~#–—"
_FENCE = re.compile(r"(?:`{3,}|~{3,})\s*[\w+-]{0,20}")
_HEADING = re.compile(r"#{1,6}(?:\s|$)")
_FRAME_LABEL = re.compile(r"[\W_]*(?:image|img|frame)[\s_#-]{0,3}[0-9]{1,9}[\W_]*", re.IGNORECASE)


class Mention(NamedTuple):
    """What a tag of an entity or a place stands around."""

    kind: str
    """`o` or `l`, the tag's last letter."""
    ids: tuple[str, ...]
    """Of the entities, in lower case, such as `char1`; none where the tag names none."""
    text: str


def plain_captions(given: Sequence[str | None]) -> list[str]:
    """Captions that were given one by one: to the letter, white space folded.

    Tags and headings in them are text. Only characters that nobody sees go, as everywhere.

    Returns:
        As many captions; the empty string for one without words.
    """
    return [_caption([legible(text or "")]) for text in given]


def has_frame_tags(story: str) -> bool:
    """Whether any tag of a story marks a frame, be it one that the story does not have."""
    return bool(_segments(_whole(story)))


def frame_captions(story: str, n_frames: int) -> list[str]:
    """Give each frame its caption: the text of its segments without tags, white space folded.

    A segment begins at an opening tag with a frame's number (`<gdi image2>`, `<gdi frame#2>`,
    `<gdi 2>`; `<gdi char2>` has none) and ends at the next one. Where every segment has a `</gdi>`,
    it ends there; else a missing or misplaced `</gdi>` loses no words. It belongs to frame N
    wherever it stands, and the segments of one frame are joined in the order of the text. Text
    before the first frame tag, and segments of frames that the story does not have, belong to no
    frame. Lines of layout and characters that nobody sees are no caption. Tags within words go
    without a trace, so that `<gdo char1>Tom</gdo>'s` reads `Tom's`; frame tags separate words; what
    only looks like a tag ("a < b") stays.

    Args:
        story: the text with its tags.
        n_frames: the number of the story's images.

    Returns:
        `n_frames` captions; the empty string for a frame without words.
    """
    texts: list[list[str]] = [[] for _ in range(n_frames)]
    for frame, text in _segments(_whole(story)):
        if 1 <= frame <= n_frames:
            texts[frame - 1].append(_without_layout(_untagged(text)))
    return [_caption(parts) for parts in texts]


def frame_mentions(story: str, n_frames: int) -> list[list[Mention]]:
    """Give each frame the entities and places that its tags stand around, in the text's order.

    The segments are those of `frame_captions`. A tag that is not closed in its segment, or stands
    around no words, mentions nothing.

    Args:
        story: the text with its tags.
        n_frames: the number of the story's images.

    Returns:
        `n_frames` lists.
    """
    found: list[list[Mention]] = [[] for _ in range(n_frames)]
    for frame, text in _segments(_whole(story)):
        if 1 <= frame <= n_frames:
            found[frame - 1].extend(_mentions(text))
    return found


def _mentions(text: str) -> Iterator[Mention]:
    opened: list[re.Match[str]] = []
    for tag in _TAG.finditer(text):
        kind = tag["kind"].lower()
        if kind not in "ol":
            continue
        if not tag["closes"]:
            opened = [*opened[1 - _NESTING :], tag]
        elif opened and opened[-1]["kind"].lower() == kind:
            start = opened.pop()
            ids = start["ids"] or start["any"] or start["sure"] or ""
            if words := _caption([_untagged(text[start.end() : tag.start()])]):
                named = ("".join(one.split()).lower() for one in _ID.findall(ids))
                yield Mention(kind, tuple(named), words)


def _caption(parts: list[str]) -> str:
    """The words of a caption's parts; the empty string where none of them shows anything."""
    caption = " ".join(" ".join(parts).split())
    return "" if _is_blank(caption) else caption


def _whole(story: str) -> str:
    """The story without characters that nobody sees, and without a tag cut off at its end."""
    return _CUT_OFF.sub("", legible(story))


def _segments(story: str) -> list[tuple[int, str]]:
    """Frame and text of every segment, in the order of the story."""
    opened: list[tuple[int, int, int]] = []  # frame, start and end of the tag
    closed: dict[int, int] = {}  # which of them -> start of its last `</gdi>`
    for tag in _TAG.finditer(story):
        if not _of_frame(tag):
            continue
        if tag["closes"]:
            closed[len(opened) - 1] = tag.start()
        elif (frame := _frame_number(tag["ids"] or tag["any"] or tag["sure"] or "")) is not None:
            opened.append((frame, tag.start(), tag.end()))
    ends = [*(start for _, start, _ in opened), len(story)][1:]
    if all(n in closed for n in range(len(opened))):
        ends = [closed[n] for n in range(len(opened))]
    return [(frame, story[start:end]) for (frame, _, start), end in zip(opened, ends, strict=True)]


def _frame_number(ids: str) -> int | None:
    """The number of the frame that the ids of a tag name, the first if there are several."""
    found = _FRAME_ID.search(ids) or _BARE_NUMBER.fullmatch(ids)
    return int(found[1]) if found else None


def _untagged(text: str) -> str:
    """Remove every tag, whole or broken."""
    for _ in range(_NESTING):
        stripped = _TAG.sub(lambda tag: "\n" if _of_frame(tag) else "", text)
        if stripped == text:
            break
        text = stripped  # a tag inside a tag may leave another one behind
    return text


def _of_frame(tag: re.Match[str]) -> bool:
    return tag["kind"] in "iI"


def legible(text: str) -> str:
    """Remove characters that nobody sees; control characters become spaces."""
    return _INVISIBLE.sub("", _CONTROLS.sub(" ", text))


def _is_blank(text: str) -> bool:
    """Whether a text shows nothing: no letter, digit, punctuation or symbol of any script."""
    return not any(
        unicodedata.category(character)[0] in "LNPS" and character not in _BLANKS
        for character in text
    )


def _without_layout(text: str) -> str:
    """Leave out the lines that are layout: Markdown's headings, rules and fences, frame labels.

    A line counts only as a whole (`# Dusk`, `---`, `* * *`, three backticks, `**Image 2:**`), so
    that no word is taken from a sentence.
    """
    return "\n".join(line for line in text.splitlines() if not _is_layout(line.strip()))


def _is_layout(line: str) -> bool:
    marks = "".join(line.split())
    if len(marks) >= 3 and marks[0] in _RULE and marks == marks[0] * len(marks):
        return True
    return bool(_HEADING.match(line) or _FENCE.fullmatch(line) or _FRAME_LABEL.fullmatch(line))
