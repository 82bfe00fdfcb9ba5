"""Low-rank adapters on a frozen decoder: where they are, what they change, and what they do not."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from benchmarks.tiny_decoders import tiny_decoder
from pipeline.captioning.generate import generate_captions
from pipeline.common.errors import UserError
from pipeline.compute.packed_linear import PackedLinear, pack_frozen
from pipeline.dataset.story_dataset import Contexts
from pipeline.model.adapter import add_adapter
from pipeline.model.check import check_model
from pipeline.model.config import GeneratorConfig
from pipeline.model.folder import load_generator, save_generator
from pipeline.model.generator import StoryGenerator
from pipeline.model.language_model import load_prompts
from pipeline.params import GenerateParams
from tests.model.decoders import VOCABULARY, save_decoder
from tests.model.test_folder import CPU, ENCODER

Tensors = tuple[torch.Tensor, torch.Tensor]
Tokens = dict[str, torch.Tensor]
Make = Callable[..., GeneratorConfig]
PRECISIONS = ("float32", "bfloat16")
RANK = 3


@pytest.fixture(params=["gpt2", "llama"])
def decoder(request: pytest.FixtureRequest, tiny_gpt2: Path, tmp_path: Path) -> str:
    """A folder: one of GPT-2's transposed layers, one of plain ones."""
    if request.param == "gpt2":
        return str(tiny_gpt2)
    llama = tiny_decoder("llama", vocab_size=VOCABULARY)
    return save_decoder(llama, tmp_path / "decoder", tiny_gpt2)


@pytest.fixture
def make(make_config: Make, decoder: str) -> Callable[..., StoryGenerator]:
    """Builds a generator on that decoder in eval mode, always from the same seed."""

    def build(tune: str = "lora", precision: str = "float32") -> StoryGenerator:
        settings = {"model": decoder, "tune": tune, "precision": precision, "lora_rank": RANK}
        config = make_config(decoder=settings, prompt={"max_sequence_tokens": 200})
        torch.manual_seed(0)
        return StoryGenerator.from_config(config).eval()

    return build


def adapters(module: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if ".lora_" in name}


@torch.no_grad()
def disturb(generator: StoryGenerator) -> None:
    """Move all that is trained away from where it starts."""
    torch.manual_seed(2)
    for parameter in generator.trainable().values():
        parameter.add_(0.2 * torch.randn_like(parameter))


def nll(generator: StoryGenerator, contexts: Tensors, tokens: Tokens) -> torch.Tensor:
    return generator.caption_nll(generator.encode(*contexts).prefix, tokens)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_fresh_adapter_changes_nothing(
    make: Callable[..., StoryGenerator], contexts: Tensors, tokens: Tokens, precision: str
) -> None:
    frozen, fresh = make("frozen", precision), make("lora", precision)
    assert fresh.decoder.lm.dtype == getattr(torch, precision)
    assert torch.equal(nll(frozen, contexts, tokens), nll(fresh, contexts, tokens))
    assert fresh.decoder.plain_head and fresh.decoder.cached
    disturb(fresh)
    assert not torch.allclose(nll(frozen, contexts, tokens), nll(fresh, contexts, tokens))


def test_it_reaches_every_layer_but_the_head(make: Callable[..., StoryGenerator]) -> None:
    generator = make()
    lm = generator.decoder.lm
    adapted = {name.partition(".lora_")[0] for name in adapters(lm)}
    packed = {name for name, layer in lm.named_modules() if isinstance(layer, PackedLinear)}
    assert packed == {f"{name}.base_layer" for name in adapted} | {"lm_head"}
    blocks = getattr(lm.base_model, "h", None) or lm.base_model.layers
    of_a_block = 4 if lm.config.model_type == "gpt2" else 7
    assert len(adapted) == of_a_block * len(blocks)
    for name in adapted:
        layer = lm.get_submodule(name)
        width = layer.base_layer.in_features, layer.base_layer.out_features
        assert layer.lora_A["default"].weight.shape == (RANK, width[0])
        assert layer.lora_B["default"].weight.shape == (width[1], RANK)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_adapters_alone_are_trained_in_the_decoder(
    make: Callable[..., StoryGenerator], contexts: Tensors, tokens: Tokens, precision: str
) -> None:
    generator = make(precision=precision)
    trained = generator.trainable()
    of_lm = {name for name in trained if name.startswith("decoder.lm.")}
    assert of_lm and of_lm == set(adapters(generator))
    assert {parameter.dtype for parameter in trained.values()} == {torch.float32}
    before = {name: p.detach().clone() for name, p in generator.named_parameters()}
    generator.train()
    assert not any(module.training for module in generator.decoder.lm.modules())
    optimiser = torch.optim.AdamW(trained.values(), lr=1e-3, weight_decay=0.0)
    for _ in range(2):  # A has no gradient as long as B is zero
        optimiser.zero_grad()
        encoded = generator.encode(*contexts)
        heads = encoded.image_pred[:, 0].sum() + encoded.text_pred[:, 0].sum()
        (generator.caption_nll(encoded.prefix, tokens).sum() + heads).backward()
        optimiser.step()
    moved = {n for n, p in generator.named_parameters() if not torch.equal(p, before[n])}
    assert moved == set(trained)


def test_it_computes_what_the_paper_says(make: Callable[..., StoryGenerator]) -> None:
    generator = make()
    disturb(generator)
    lm = generator.decoder.lm
    for name in {name.partition(".lora_")[0] for name in adapters(lm)}:
        layer = lm.get_submodule(name)
        x = torch.randn(5, layer.base_layer.in_features)
        a, b = (getattr(layer, part)["default"].weight for part in ("lora_A", "lora_B"))
        torch.testing.assert_close(layer(x), layer.base_layer(x) + 2 * x @ a.T @ b.T)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_round_trip(
    make: Callable[..., StoryGenerator],
    contexts: Tensors,
    tokens: Tokens,
    tmp_path: Path,
    precision: str,
) -> None:
    generator = make(precision=precision)
    fresh = captions(generator, contexts)
    disturb(generator)
    save_generator(tmp_path / "model", generator, {}, ENCODER)
    torch.manual_seed(1)
    loaded = load_generator(tmp_path / "model", CPU)
    assert loaded.fingerprint() == generator.fingerprint()
    assert torch.equal(nll(loaded, contexts, tokens), nll(generator, contexts, tokens))
    written = captions(generator, contexts)
    assert captions(loaded, contexts) == written != fresh


def captions(generator: StoryGenerator, contexts: Tensors) -> list[list[int]]:
    """Token ids of what is written after each context."""
    images, texts = (part.numpy() for part in contexts)
    words = [["They wait."] * images.shape[1]] * len(images)
    stories = [str(i) for i in range(len(images))]
    given = Contexts(stories, images, texts, words, [b""] * len(images))
    params = GenerateParams(max_new_tokens=8)
    prompts = load_prompts(generator.config)
    written = generate_captions(generator, prompts, given, params, [None] * len(images))
    return [caption.tokens for caption in written]


def test_names_in_the_file(make_config: Make, tmp_path: Path) -> None:
    generator = StoryGenerator.from_config(make_config(decoder={"tune": "lora"}))
    save_generator(tmp_path / "model", generator, {}, ENCODER)
    weights = load_file(tmp_path / "model" / "model.safetensors")
    assert {name for name in weights if name.startswith("decoder.lm.transformer.h.1.")} == {
        f"decoder.lm.transformer.h.1.{layer}.lora_{part}.default.weight"
        for layer in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
        for part in "AB"
    }
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["decoder"]["lora_rank"] == 16
    assert weights["decoder.lm.transformer.h.1.mlp.c_fc.lora_A.default.weight"].shape == (16, 32)


def test_another_rank_is_refused(make_config: Make) -> None:
    one, other = (
        StoryGenerator.from_config(make_config(decoder={"tune": "lora", "lora_rank": rank}))
        for rank in (2, 4)
    )
    with pytest.raises(UserError, match=r"first difference: decoder\.lm\..*\.lora_A"):
        one.load_trainable(other.trainable_state())


@pytest.mark.parametrize(
    "architecture",
    [
        "gemma3",  # there is an image tower beside it
        "falcon",  # its layers are of a class of its own
        "phimoe",  # the routers' are too, and return more than a tensor
        "mamba",  # takes the weights of some itself
        "qwen3_next",  # its shared expert's have the names that experts of old had
        "granite",  # logits are not the head's
    ],
)
def test_decoders_of_other_makes(architecture: str) -> None:
    lm = tiny_decoder(architecture)
    lm.requires_grad_(False)
    ids = torch.arange(20, 32)[None]
    with torch.no_grad():
        plain, able = lm(input_ids=ids).logits, check_model(lm, architecture)
    add_adapter(lm, RANK, architecture)
    with torch.no_grad():
        assert check_model(lm, architecture) == able
        pack_frozen(lm)
        torch.testing.assert_close(lm(input_ids=ids).logits, plain)
        for parameter in adapters(lm).values():
            parameter.add_(0.1 * torch.randn_like(parameter))
    F.cross_entropy(lm(input_ids=ids).logits[0, :-1], ids[0, 1:]).backward()
    for name, parameter in lm.named_parameters():
        assert (parameter.grad is not None) is (".lora_" in name), name
        assert parameter.grad is None or parameter.grad.abs().sum() > 0, name


def test_a_decoder_without_linear_layers_is_refused(make_config: Make) -> None:
    lm: Any = tiny_decoder("gpt2").requires_grad_(False)
    pack_frozen(lm)  # which leaves none that anyone else knows
    config = make_config(decoder={"tune": "lora"}, prompt={"max_sequence_tokens": 200})
    with pytest.raises(
        UserError, match=r"no linear layers that take an adapter: set decoder\.tune"
    ):
        StoryGenerator(config, lm)


def test_peft_is_imported_for_adapters_alone() -> None:
    check = "import sys, pipeline.model.folder; sys.exit('peft' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0
