"""Captions from grounded stories: what `<gdi>`, `<gdo>`, `<gda>` and `<gdl>` tags leave behind.

A story marks its frames with `<gdi image1>` ... (closed by `</gdi>` or not), entities with
`<gdo char1 char2>...</gdo>`, actions with `<gda char1>...</gda>` and places with
`<gdl bg1 lm1>...</gdl>`. The stories are written by a language model, so tags come broken: in
upper case, unclosed, nested, repeated, out of order. Nothing here raises; a frame that no tag
speaks of has the empty caption, and it is the caller's to refuse it.

Source of the tags: Oliveira and Martins, StoryReasoning (arXiv:2505.10292).
"""

import re

_AFTER_NAME = r"(?=image|[^a-z]|$)"
# the ids of a tag that lost its `>`: only what surely is an id, the words after it are the story's
_SURE_ID = r"(?:[a-z]{1,12}[0-9]{1,9}|(?:image|img|frame|char|obj|lm|bg)[\s_#-]{1,3}[0-9]{1,9})"
_SURE_IDS = rf"(?:[\s,:]*{_SURE_ID}\b)*"
_TAG = re.compile(
    rf"<\s{{0,3}}gd(?P<opens>[ioal]){_AFTER_NAME}"
    r"(?:"
    # whole, ids of any form; more than one `>` after nesting
    r"(?P<ids>[^\s<>]{0,40}(?:\s+[^\s<>]{1,40}){0,16}?)\s*>+"
    rf"|(?P<sure>{_SURE_IDS})"  # without its `>`
    r")"
    rf"|<\s{{0,3}}/\s{{0,3}}gd(?P<closes>[ioal]){_AFTER_NAME}(?:{_SURE_IDS}\s*>+)?",
    re.IGNORECASE,
)
_NESTING = 8  # tags within the angle brackets of tags; bounded so that no text takes long
_NUMBER = re.compile(r"[0-9]{1,9}")


def strip_tags(text: str) -> str:
    """Remove every grounding tag, whole or broken, and fold white space.

    What only looks like a tag ("a < b") stays. Tags within words go without a trace, so that
    `<gdo char1>Tom</gdo>'s` reads `Tom's`; frame tags separate words.
    """
    for _ in range(_NESTING):
        stripped = _TAG.sub(lambda tag: " " if _of_frame(tag) else "", text)
        if stripped == text:
            break
        text = stripped  # a tag inside a tag may leave another one behind
    return " ".join(text.split())


def frame_captions(story: str, n_frames: int) -> list[str]:
    """Give each frame its caption: the text of its segments, tags removed, white space folded.

    A segment begins at an opening `<gdi imageN>` and ends at the next one, whatever was closed in
    between: a missing or misplaced `</gdi>` loses no words. It belongs to frame N wherever it
    stands, and the segments of one frame are joined in the order of the text. Text before the first
    frame tag, and segments of frames that the story does not have, belong to no frame.

    Args:
        story: the text with its tags.
        n_frames: the number of the story's images.

    Returns:
        `n_frames` captions; the empty string for a frame without words.
    """
    segments: list[list[str]] = [[] for _ in range(n_frames)]
    current: list[str] | None = None
    end = 0
    for number, start, after in _frame_tags(story):
        if current is not None:
            current.append(story[end:start])
        current = segments[number - 1] if 1 <= number <= n_frames else None
        end = after
    if current is not None:
        current.append(story[end:])
    return [strip_tags(" ".join(parts)) for parts in segments]


def _frame_tags(story: str) -> list[tuple[int, int, int]]:
    """Find the opening frame tags that carry a number, as (number, start, end), in text order."""
    found = []
    for tag in _TAG.finditer(story):
        number = _NUMBER.search(tag["ids"] or tag["sure"] or "")
        if tag["opens"] and _of_frame(tag) and number:
            found.append((int(number.group()), tag.start(), tag.end()))
    return found


def _of_frame(tag: re.Match[str]) -> bool:
    return (tag["opens"] or tag["closes"]) in "iI"
