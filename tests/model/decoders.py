"""Folders of language models of any architecture, with the tiny GPT-2's tokenizer."""

from pathlib import Path
from typing import Any

from tokenizers import processors
from transformers import AutoTokenizer

VOCABULARY = 512
"""More than the tokenizer has tokens."""


def save_decoder(lm: Any, folder: Path, tokenizer_of: Path, opens: bool = False) -> str:
    """Save `lm` with that tokenizer; `opens` has it put end-of-text before every text, as OPT's.

    Returns the folder, as decoder.model names it.
    """
    lm.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
    if opens:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<|endoftext|> $A",
            special_tokens=[("<|endoftext|>", tokenizer.eos_token_id)],
        )
    tokenizer.save_pretrained(folder)
    return str(folder)
