"""One tokeniser under all text metrics, so that their numbers speak of the same words."""

from importlib.metadata import version

from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

TOKENIZER = f"13a, lower case, punctuation kept (sacrebleu {version('sacrebleu')})"

_split = Tokenizer13a()


def tokenize(text: str) -> list[str]:
    """Words and punctuation marks of a text, lower-cased: mteval's `13a`, as sacrebleu has it."""
    tokens: list[str] = _split(text.lower()).split()
    return tokens


def ngrams(tokens: list[str], n: int) -> list[tuple[str, ...]]:
    """Every run of n tokens, in order."""
    return list(zip(*(tokens[i:] for i in range(n)), strict=False))
