"""Random backbones in the real shapes, for timing: ViT-B/32 CLIP and GPT-2 small.

Nothing is fetched. The tokenizers are learned from the sample's own captions and filled up to the
real vocabulary sizes with tokens that never occur, so that the embedding and the logits have their
true width; the special tokens sit where they do in the published models.
"""

import argparse
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.compute.device import make_deterministic
from pipeline.storyworld.rows import sample_rows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CLIP_VOCABULARY = 49408
GPT2_VOCABULARY = 50257
TOKENIZER_STORIES = 40


def build_clip(folder: Path, captions: Iterable[str], layers: int = 12) -> None:
    """Save a random CLIPModel shaped as openai/clip-vit-base-patch32.

    Args:
        folder: written with weights, tokenizer and image processor, as `from_pretrained` takes it.
        captions: what its tokenizer is learned from.
        layers: of each tower; 12 is the real number.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=CLIP_VOCABULARY // 2, initial_alphabet=letters, end_of_word_suffix="</w>"
    )
    bpe.train_from_iterator(captions, trainer)
    merges = _merges(bpe)
    tokens = letters + [letter + "</w>" for letter in letters] + ["".join(m) for m in merges]
    specials = ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = _filled(tokens, CLIP_VOCABULARY, specials)
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)

    config = CLIPConfig(
        text_config={
            "num_hidden_layers": layers,
            "vocab_size": CLIP_VOCABULARY,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={"num_hidden_layers": layers},
    )
    make_deterministic(0)
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)


def build_gpt2(folder: Path, captions: Iterable[str], layers: int = 12) -> None:
    """Save a random GPT2LMHeadModel shaped as gpt2, without a padding token as there.

    Args:
        folder: written with weights and tokenizer.
        captions: what its tokenizer is learned from.
        layers: 12 is the real number.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=GPT2_VOCABULARY // 2, initial_alphabet=letters)
    bpe.train_from_iterator(captions, trainer)
    merges = _merges(bpe)
    tokens = letters + ["".join(merge) for merge in merges]
    vocabulary = _filled(tokens, GPT2_VOCABULARY, ["<|endoftext|>"])
    tokenizer = GPT2Tokenizer(vocab=vocabulary, merges=merges, model_max_length=1024)

    make_deterministic(1)
    GPT2LMHeadModel(GPT2Config(n_layer=layers)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _merges(bpe: "Tokenizer") -> list[tuple[str, str]]:
    pairs = json.loads(bpe.to_str())["model"]["merges"]
    return [(first, second) for first, second in pairs]


def _filled(tokens: list[str], size: int, specials: list[str]) -> dict[str, int]:
    """Number `tokens`, then tokens that never occur, then `specials` as the last of `size`."""
    distinct = list(dict.fromkeys(tokens))
    unused = [f"[unused{i}]" for i in range(size - len(distinct) - len(specials))]
    return {token: number for number, token in enumerate(distinct + unused + specials)}


def main() -> None:
    """Build both; the tokenizers learn from stories of another seed than the check's."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=12)
    arguments = parser.parse_args()
    rows = sample_rows(TOKENIZER_STORIES, seed=1, split="train")
    texts = [re.sub(r"<[^>]*>", " ", row["story"]) for row in rows]
    build_clip(arguments.out / "clip", texts, arguments.layers)
    build_gpt2(arguments.out / "gpt2", texts, arguments.layers)


if __name__ == "__main__":
    main()
