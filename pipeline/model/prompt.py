"""What the decoder reads and what it must write, as text and as token ids. Imports no torch.

The prompt is the first words of each context caption on numbered lines, then the number of the
frame to be written::

    1. Anna looks up from the letter she has been holding since morning
    2. Bram waits at the gate
    3.

Without words of the captions it is `1.`, which any decoder can go on from.

The target starts with a space and is cut from the encoding of the two together, so that its first
token is the one that stands there in running text: byte-level BPE reads `Anna` and ` Anna` as
different tokens, and others put a space of their own before any text that stands alone. It ends
with end-of-text when it fits, unless `prompt.end_of_text` says otherwise.

What the tokenizer puts before every text, as a beginning-of-text token, is no part of the prompt:
it stands before the decoder's prefix (`PromptBuilder.opening`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.common.errors import UserError

if TYPE_CHECKING:
    from pipeline.params import PromptParams

CUE = "1."
"""How a prompt ends, for what a tokenizer makes of the text after it."""
MIN_TARGET_TOKENS = 16
"""Room that a long prompt must leave for the target: about a dozen words."""


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that prompts need."""

    @property
    def eos_token_id(self) -> Any: ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool) -> Any: ...


def prompt_text(captions: Sequence[str], words: int) -> str:
    """The prompt for the caption that follows `captions`, the first `words` words of each."""
    return _numbered(_lines(captions, words))


def target_text(caption: str) -> str:
    """The text that continues `prompt_text`."""
    return " " + caption


class PromptBuilder:
    """Turns captions into token ids within the limits of `prompt` in params.yaml.

    `max_sequence_tokens` holds for prompt + target together, the prefix not counted, so that the
    text is the same whatever the prefix is. A pair that is too long loses tokens from the end of
    the target, and with them end-of-text: the decoder is never taught to stop where the text was
    only cut. Should the prompt leave fewer than `MIN_TARGET_TOKENS` for the target, its longest
    lines lose words from their ends, one at a time and the oldest line first among equals, until
    it fits; numbers and cue line always stay.
    """

    def __init__(self, tokenizer: Tokenizer, params: "PromptParams"):
        """Raises UserError when the tokenizer has no end-of-text token."""
        if tokenizer.eos_token_id is None:
            raise UserError(
                "the decoder's tokenizer has no end-of-text token, so a caption could never end: "
                "choose another decoder.model"
            )
        self.tokenizer = tokenizer
        self.params = params
        self.eos_id = int(tokenizer.eos_token_id)
        self._cue = self._encode(CUE)
        self.opening = self._opening()
        """Ids that the tokenizer puts before every text."""

    def prompt_ids(self, captions: Sequence[str]) -> list[int]:
        """Token ids of the prompt, short enough to leave room for a target.

        Raises UserError when not even the bare line numbers fit.
        """
        lines = _lines(captions, self.params.words_per_caption)
        ids = self._encode(_numbered(lines))
        room = self.params.max_sequence_tokens - MIN_TARGET_TOKENS
        if len(ids) <= room:
            return ids
        lengths = [len(line) for line in lines]
        kept = self._encode(_numbered([[] for _ in lines]))
        if len(kept) > room:
            raise UserError(
                f"prompt.max_sequence_tokens: {self.params.max_sequence_tokens} is too small for "
                f"{len(lines)} numbered lines and {MIN_TARGET_TOKENS} target tokens: "
                "raise it or lower context.k"
            )
        fits, too_many = 0, sum(lengths)  # words in all; the answer lies between
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            shares = _even_shares(lengths, middle)
            ids = self._encode(_numbered([line[:n] for line, n in zip(lines, shares, strict=True)]))
            if len(ids) <= room:
                fits, kept = middle, ids
            else:
                too_many = middle
        return kept

    def target_ids(self, caption: str, prompt_tokens: int = 0) -> list[int]:
        """Token ids of the target after a prompt of `prompt_tokens`, end-of-text last if it is
        wanted and fits.

        At most `max_target_tokens` long, end-of-text included, and never empty.
        """
        room = self.params.max_sequence_tokens - prompt_tokens
        limit = max(1, min(self.params.max_target_tokens, room))
        ids = self._continuation(target_text(caption))
        if self.params.end_of_text or not ids:
            ids = [*ids, self.eos_id]
        return ids[:limit]

    def example_ids(self, captions: Sequence[str], target: str) -> tuple[list[int], list[int]]:
        """(prompt ids, target ids) of one training example."""
        prompt = self.prompt_ids(captions)
        return prompt, self.target_ids(target, len(prompt))

    def decode(self, ids: Sequence[int]) -> str:
        """The caption that generated token ids say: up to end-of-text, white space folded.

        Byte-level vocabularies can say NUL, which ends a string in too many places: it counts as
        white space.
        """
        ids = list(ids)
        if self.eos_id in ids:
            ids = ids[: ids.index(self.eos_id)]
        text = str(self.tokenizer.decode(ids, skip_special_tokens=True))
        return " ".join(text.replace("\0", " ").split())

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _continuation(self, text: str) -> list[int]:
        """Ids of `text` as it stands behind a prompt."""
        whole = self._encode(CUE + text)
        begun = len(self._cue)
        # Else a token spans the boundary.
        return whole[begun:] if whole[:begun] == self._cue else self._encode(text)

    def _opening(self) -> list[int]:
        whole = list(self.tokenizer.encode(CUE, add_special_tokens=True))
        size = len(self._cue)
        starts = (i for i in range(len(whole)) if whole[i : i + size] == self._cue)
        return whole[: next(starts, 0)]


def _lines(captions: Sequence[str], words: int) -> list[list[str]]:
    """The first words of each caption; none at all where they are to have no words."""
    return [caption.split()[:words] for caption in captions] if words else []


def _numbered(lines: Sequence[Sequence[str]]) -> str:
    numbered = "".join(f"{i}. {' '.join(line)}\n" for i, line in enumerate(lines, start=1))
    return f"{numbered}{len(lines) + 1}."


def _even_shares(lengths: Sequence[int], total: int) -> list[int]:
    """Splits `total` <= sum(lengths) words over lines: longest cut first, then oldest."""
    shares = list(lengths)
    low, high = 0, max(shares, default=0)
    while low < high:  # the largest common cap whose sum stays within the total
        middle = (low + high + 1) // 2
        if sum(min(n, middle) for n in lengths) <= total:
            low = middle
        else:
            high = middle - 1
    shares = [min(n, low) for n in lengths]
    spare = total - sum(shares)
    for line in reversed(range(len(shares))):
        if spare and shares[line] < lengths[line]:
            shares[line] += 1
            spare -= 1
    return shares
