"""What of a text is to be read: no characters that nobody sees, no lines that only lay it out."""

import re
import unicodedata

# Control characters that are no white space: they stand where something was, and separate words.
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
# Soft hyphens, zero-width spaces, marks of direction, byte order marks. The joiners U+200C and
# U+200D stay: they spell words of many scripts, and emoji.
_INVISIBLE = re.compile(
    "[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_BLANKS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols by their category, yet no ink

_RULE = "-*_=~#–—"
_FENCE = re.compile(r"(?:`{3,}|~{3,})\s*[\w+-]{0,20}")
_HEADING = re.compile(r"#{1,6}(?:\s|$)")
_FRAME_LABEL = re.compile(r"[\W_]*(?:image|img|frame)[\s_#-]{0,3}[0-9]{1,9}[\W_]*", re.IGNORECASE)


def legible(text: str) -> str:
    """Remove characters that nobody sees; control characters become spaces."""
    return _INVISIBLE.sub("", _CONTROLS.sub(" ", text))


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: no letter, digit, punctuation or symbol of any script."""
    return not any(
        unicodedata.category(character)[0] in "LNPS" and character not in _BLANKS
        for character in text
    )


def without_layout(text: str) -> str:
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
