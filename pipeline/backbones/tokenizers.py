"""The backbones' tokenizers, trained on the storyworld's prose, in the formats of their kinds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer, GPT2Tokenizer

END = "<|endoftext|>"
START = "<|startoftext|>"
# What CLIP's text tower reads, start and end included. A tokenizer saved without it never cuts.
CLIP_CONTEXT = 77


def train_gpt2_tokenizer(texts: Iterable[str], vocab_size: int) -> GPT2Tokenizer:
    """Byte-level BPE as GPT-2's; end-of-text is id 0 and the padding token too."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    _train(tokenizer, texts, vocab_size, specials=[END])
    return GPT2Tokenizer(**_learned(tokenizer), pad_token=END)


def train_clip_tokenizer(texts: Iterable[str], vocab_size: int) -> CLIPTokenizer:
    """Lower-case BPE with `</w>` at word ends, as CLIP's.

    Pads with end-of-text, which stands last in the vocabulary, as CLIP's does.
    """
    untrained = CLIPTokenizer()  # its normaliser and pre-tokenizer, whatever the vocabulary
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = untrained.backend_tokenizer.normalizer
    tokenizer.pre_tokenizer = untrained.backend_tokenizer.pre_tokenizer
    _train(tokenizer, texts, vocab_size - 2, specials=[], end_of_word_suffix="</w>")
    learned = _learned(tokenizer)
    for special in (START, END):
        learned["vocab"][special] = len(learned["vocab"])
    return CLIPTokenizer(**learned, model_max_length=CLIP_CONTEXT)


def _train(
    tokenizer: Tokenizer, texts: Iterable[str], vocab_size: int, specials: list[str], **kwargs: Any
) -> None:
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        **kwargs,
    )
    tokenizer.train_from_iterator(texts, trainer)


def _learned(tokenizer: Tokenizer) -> dict[str, Any]:
    """Vocabulary and merges of a trained tokenizer."""
    model = json.loads(tokenizer.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(merge) for merge in model["merges"]]}
