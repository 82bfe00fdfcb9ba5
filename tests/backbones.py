"""Tiny random backbones in real Hugging Face formats.

They have the layout of the Hub's folders (safetensors, tokenizer, image processor) and load by
plain `from_pretrained`, so that the tests exercise the very code paths of the real models.
"""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

CORPUS = [
    "Mara opens the door and looks into the hall. The lamp on the table is still lit.",
    "In the kitchen Tom pours the tea; he does not look at the letter beside the cup.",
    "They walk along the river at night. She carries a lantern and he carries the red box.",
    "A train waits at the station. The old man runs, but the doors close before he gets there.",
    "Later, in the garden, the children find the key under a stone and hide it again.",
]
"""A few captions in the manner of the real ones; also what the tiny tokenizers are trained on."""


def build_tiny_clip(folder: Path, seed: int, projection_dim: int = 24) -> Path:
    """A random CLIPModel: 2 layers, width 32, images of 32 pixels, 77 tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.Whitespace()
    bpe.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=420,
            initial_alphabet=alphabet,
            end_of_word_suffix="</w>",
            show_progress=False,
        ),
    )
    merges = _merges(bpe)
    tokens = alphabet + [a + "</w>" for a in alphabet]
    tokens += [m for m in ("".join(pair) for pair in merges) if m not in set(tokens)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {token: i for i, token in enumerate(tokens)}
    tokenizer = CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = CLIPConfig(
        text_config={
            **tower,
            "vocab_size": len(vocab),
            "max_position_embeddings": 77,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**tower, "image_size": 32, "patch_size": 16},
        projection_dim=projection_dim,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CLIPModel(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return folder


def build_tiny_gpt2(folder: Path, seed: int) -> Path:
    """A random GPT2LMHeadModel: 2 layers, n_embd 32, n_positions 512, own eos and pad."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=400,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    vocab = bpe.get_vocab()
    for special in ("<|endoftext|>", "<|pad|>"):
        vocab[special] = len(vocab)
    tokenizer = GPT2Tokenizer(
        vocab=vocab, merges=_merges(bpe), pad_token="<|pad|>", model_max_length=512
    )
    config = GPT2Config(
        vocab_size=len(vocab),
        n_positions=512,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _merges(bpe: Tokenizer) -> list[tuple[str, str]]:
    """The learned merges of a `tokenizers.Tokenizer`, most frequent first."""
    pairs = json.loads(bpe.to_str())["model"]["merges"]
    return [(a, b) for a, b in pairs]
