"""One tokeniser under all text metrics, so that their numbers speak of the same words."""

from importlib.metadata import version

from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

TOKENIZER = f"13a, lower case, punctuation kept (sacrebleu {version('sacrebleu')})"

_split = Tokenizer13a()


def tokenize(text: str) -> list[str]:
    """Words and punctuation marks of a text, lower-cased: mteval's `13a`, as sacrebleu has it."""
    tokens: list[str] = _split(text.lower()).split()
    return tokens


def forget() -> None:
    """Let go of the texts that sacrebleu keeps for a next time: 65,536 of them otherwise, twice."""
    Tokenizer13a.__call__.cache_clear()
    TokenizerRegexp.__call__.cache_clear()
