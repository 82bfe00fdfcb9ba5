"""Tiny random backbones in real Hugging Face formats, built once per test run.

They have the layout of the Hub's folders (safetensors, tokenizer, image processor) and load by
plain `from_pretrained`, so that the tests exercise the very code paths of the real models.

Under test, and there alone, the shapes and types that signatures name are checked at every call.
"""

import io
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

ROOT = Path(__file__).parents[1]
WITH_SHAPES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "pipeline").rglob("*.py"))
    if "from jaxtyping import" in path.read_text()
]
install_import_hook(WITH_SHAPES, "beartype.beartype")

CORPUS = [
    "Mara opens the door and looks into the hall. The lamp on the table is still lit.",
    "In the kitchen Tom pours the tea; he does not look at the letter beside the cup.",
    "They walk along the river at night. She carries a lantern and he carries the red box.",
    "A train waits at the station. The old man runs, but the doors close before he gets there.",
    "Later, in the garden, the children find the key under a stone and hide it again.",
]
"""A few captions in the manner of the real ones; also what the tiny tokenizers are trained on."""


@pytest.fixture(scope="session", autouse=True)
def _torch_threads() -> None:
    """As many as stage processes that tests start will have: one, if nothing else is asked for."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(autouse=True)
def _own_storycache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own caches."""
    monkeypatch.setenv("STORYCACHE_HOME", str(tmp_path / "storycache-home"))


@pytest.fixture
def refuse_packing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`refuse_packing(dtype, ...)` gives PyTorch's packed products up for these dtypes, in its own
    words, as a processor without kernels for them does."""
    import torch

    from pipeline.compute.packed_linear import can_pack

    pack = torch.ops.mkldnn._reorder_linear_weight

    def refuse(*dtypes: torch.dtype) -> None:
        def packs_others(weight: torch.Tensor) -> torch.Tensor:
            if weight.dtype in dtypes:
                raise RuntimeError("mkldnn_reorder_linear_weight: needs the cpu support avx512bw")
            return pack(weight)

        monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", packs_others)
        can_pack.cache_clear()

    yield refuse
    monkeypatch.undo()
    can_pack.cache_clear()


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random CLIPModel: 2 layers, width 32, images of 32 pixels, D = 24, 77 tokens."""
    return build_tiny_clip(tmp_path_factory.mktemp("backbones") / "clip", seed=0)


@pytest.fixture(scope="session")
def tiny_judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of another random CLIPModel, as `tiny_clip` but with D = 16."""
    return build_tiny_clip(tmp_path_factory.mktemp("backbones") / "judge", 1, projection_dim=16)


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random GPT2LMHeadModel: 2 layers, n_embd 32, n_positions 512, own eos and pad."""
    return build_tiny_gpt2(tmp_path_factory.mktemp("backbones") / "gpt2", seed=0)


@pytest.fixture(scope="session")
def make_jpeg() -> Callable[..., bytes]:
    """The function `jpeg`, for tests that need pictures."""
    return jpeg


def jpeg(seed: int, width: int = 80, height: int = 48) -> bytes:
    """A smooth random picture, so that resampling and JPEG behave as on photographs."""
    import numpy as np
    from PIL import Image

    coarse = np.random.default_rng(seed).integers(0, 256, (6, 10, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(
        stream, "JPEG", quality=90
    )
    return stream.getvalue()


def build_tiny_clip(folder: Path, seed: int, projection_dim: int = 24) -> Path:
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

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
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

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


def _merges(bpe: object) -> list[tuple[str, str]]:
    """The learned merges of a `tokenizers.Tokenizer`, most frequent first."""
    import json

    pairs = json.loads(bpe.to_str())["model"]["merges"]  # type: ignore[attr-defined]
    return [(a, b) for a, b in pairs]
