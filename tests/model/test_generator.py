"""The generator: order of frames, gradients, the frozen LM, likelihoods."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    MptConfig,
    XLNetConfig,
)
from transformers.pytorch_utils import Conv1D

from benchmarks.tiny_decoders import tiny_decoder
from pipeline.common.errors import UserError
from pipeline.compute.packed_linear import PackedLinear, pack_frozen
from pipeline.model.config import GeneratorConfig
from pipeline.model.generator import StoryGenerator
from pipeline.model.language_model import position_limit
from tests.model.decoders import VOCABULARY, save_decoder
from tests.oracle import token_nll
from tests.world import tiny_generator

Contexts = tuple[torch.Tensor, torch.Tensor]
Tokens = dict[str, torch.Tensor]
Make = Callable[..., GeneratorConfig]


def test_shapes_and_norms(generator: StoryGenerator, contexts: Contexts) -> None:
    encoded = generator.encode(*contexts)
    assert encoded.z.shape == (4, 32)
    assert encoded.prefix.shape == (4, generator.config.prefix_tokens, 32)
    assert encoded.image_pred.shape == (4, 12) and encoded.text_pred.shape == (4, 10)
    for predicted in (encoded.image_pred, encoded.text_pred):
        torch.testing.assert_close(predicted.norm(dim=-1), torch.ones(4))


def test_prefix_starts_at_the_scale_of_words(generator: StoryGenerator, contexts: Contexts) -> None:
    words = generator.decoder.lm.get_input_embeddings().weight
    rms = generator.encode(*contexts).prefix.square().mean().sqrt()
    torch.testing.assert_close(rms, words.square().mean().sqrt(), rtol=1e-2, atol=0)


@pytest.mark.parametrize("position_embeddings", [True, False])
def test_order_of_frames_matters_with_positions_only(
    make_config: Make, contexts: Contexts, position_embeddings: bool
) -> None:
    torch.manual_seed(0)
    config = make_config(fusion={"position_embeddings": position_embeddings})
    generator = StoryGenerator.from_config(config).eval()
    images, texts = contexts
    forward = generator.encode(images, texts)
    backward = generator.encode(images.flip(1), texts.flip(1))
    same = torch.allclose(forward.z, backward.z, atol=1e-5)
    assert same is not position_embeddings
    same = torch.allclose(forward.image_pred, backward.image_pred, atol=1e-5)
    assert same is not position_embeddings


def test_one_head_predicts_both_embeddings(make_config: Make, contexts: Contexts) -> None:
    fusion = {"embedding_heads": "one"}
    generator = StoryGenerator.from_config(make_config(dims=(12, 12), fusion=fusion))
    images, _ = contexts
    encoded = generator.encode(images, images)
    assert encoded.text_pred is encoded.image_pred
    assert not any("text_head" in name for name in generator.trainable())
    with pytest.raises(UserError, match=r"of different widths \(12 and 10\): set it to two"):
        StoryGenerator.from_config(make_config(fusion=fusion))


@pytest.mark.parametrize("projection", ["linear", "relu"])
def test_a_relu_leaves_nothing_below_zero(
    make_config: Make, contexts: Contexts, projection: str
) -> None:
    fusion = {"projection": projection, "position_embeddings": False}
    generator = tiny_generator(make_config(fusion=fusion))
    seen: list[torch.Tensor] = []
    generator.fusion.drop.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    generator.encode(*contexts)
    assert bool((seen[0] >= 0).all()) is (projection == "relu")


@pytest.mark.parametrize("frame_prefix", [True, False])
def test_what_is_not_to_be_read_changes_nothing(
    make_config: Make, contexts: Contexts, frame_prefix: bool
) -> None:
    def encoded(fusion: dict[str, str], images: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        config = make_config(fusion=fusion, decoder={"frame_prefix": frame_prefix})
        generator = tiny_generator(config).eval()
        prefix = generator.encode(images, texts).prefix
        assert prefix.shape[1] == config.prefix_tokens
        return prefix

    images, texts = contexts
    last = {"frames": "last"}
    earlier = torch.cat([images.flip(0)[:, :-1], images[:, -1:]], dim=1)
    assert torch.equal(encoded(last, images, texts), encoded(last, earlier, texts))
    assert not torch.equal(encoded({}, images, texts), encoded({}, earlier, texts))
    image = {"modalities": "image"}
    assert torch.equal(encoded(image, images, texts), encoded(image, images, texts.flip(0)))
    assert not torch.equal(encoded({}, images, texts), encoded({}, images, texts.flip(0)))
    assert not torch.equal(encoded(last, images, texts), encoded(last, images.flip(1), texts))


def _total_loss(generator: StoryGenerator, contexts: Contexts, tokens: Tokens) -> torch.Tensor:
    encoded = generator.encode(*contexts)
    nll = generator.caption_nll(encoded.prefix, tokens).sum()
    return nll + encoded.image_pred[:, 0].sum() + encoded.text_pred[:, 0].sum()


@pytest.mark.parametrize("tune", ["frozen", "full"])
@pytest.mark.parametrize("frame_prefix", [True, False])
def test_gradient_reaches_every_trainable_parameter(
    make_config: Make, contexts: Contexts, tokens: Tokens, tune: str, frame_prefix: bool
) -> None:
    generator = StoryGenerator.from_config(
        make_config(decoder={"tune": tune, "frame_prefix": frame_prefix})
    )
    generator.train()
    _total_loss(generator, contexts, tokens).backward()
    for name, parameter in generator.trainable().items():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name
    assert any(n.startswith("decoder.lm.") for n in generator.trainable()) is (tune == "full")


def test_a_frozen_decoder_stays_in_eval_mode_without_gradients(
    generator: StoryGenerator, contexts: Contexts, tokens: Tokens
) -> None:
    generator.train()
    assert generator.fusion.training
    assert not any(module.training for module in generator.decoder.lm.modules())
    before = [p.clone() for p in generator.decoder.lm.parameters()]
    _total_loss(generator, contexts, tokens).backward()
    for parameter, old in zip(generator.decoder.lm.parameters(), before, strict=True):
        assert parameter.grad is None and not parameter.requires_grad
        assert torch.equal(parameter, old)


def test_a_tuned_decoder_follows_train_and_eval(make_config: Make) -> None:
    generator = StoryGenerator.from_config(make_config(decoder={"tune": "full"}))
    assert generator.train().decoder.lm.training
    assert not generator.eval().decoder.lm.training


def _check_nll(
    generator: StoryGenerator,
    contexts: Contexts,
    tokens: Tokens,
    opening: torch.Tensor | None = None,
) -> None:
    """Against one sequence at a time; `opening` stands before the prefix, or before the prompt."""
    generator.eval()
    prefix = generator.encode(*contexts).prefix
    for given in (prefix, prefix.roll(1, 0), None):
        nll = generator.caption_nll(given, tokens)
        assert nll.shape == tokens["target_ids"].shape
        for i in range(4):
            mask = tokens["target_mask"][i]
            parts = (opening, None if given is None else given[i])
            before = [part for part in parts if part is not None]
            expected = token_nll(
                generator.decoder.lm,
                torch.cat(before) if before else None,
                tokens["prompt_ids"][i][tokens["prompt_mask"][i]].tolist(),
                tokens["target_ids"][i][mask].tolist(),
            )
            torch.testing.assert_close(nll[i][mask], expected, rtol=1e-4, atol=1e-4)
            assert (nll[i][~mask] == 0).all()


def test_token_nll_equals_the_whole_model(
    generator: StoryGenerator, contexts: Contexts, tokens: Tokens
) -> None:
    _check_nll(generator, contexts, tokens)


def test_padding_by_a_real_word_changes_nothing(
    generator: StoryGenerator, contexts: Contexts, tokens: Tokens
) -> None:
    generator.eval()
    prefix = generator.encode(*contexts).prefix
    eos = generator.decoder.lm.config.eos_token_id
    other = dict(tokens)
    for part in ("prompt", "target"):
        other[f"{part}_ids"] = tokens[f"{part}_ids"].masked_fill(~tokens[f"{part}_mask"], eos)
    # and end-of-text as a supervised token, which masking by id would lose
    other["target_ids"][0, 1] = tokens["target_ids"][0, 1] = eos
    nll = generator.caption_nll(prefix, other)
    assert torch.equal(nll, generator.caption_nll(prefix, tokens))
    assert nll[0, 1] > 0


def test_another_architecture(
    make_config: Make, contexts: Contexts, tokens: Tokens, tmp_path: Path, tiny_gpt2: Path
) -> None:
    torch.manual_seed(0)
    lm = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=24,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=300,
            bos_token_id=1,
            eos_token_id=2,
            tie_word_embeddings=False,
        )
    ).to(torch.float16)
    folder = save_decoder(lm, tmp_path / "llama", tiny_gpt2)
    generator = StoryGenerator.from_config(make_config(decoder={"model": folder}))
    assert {p.dtype for p in generator.parameters()} == {torch.float32}
    _check_nll(generator, contexts, tokens)


@pytest.mark.parametrize(
    ("architecture", "own"),
    [
        ("granite", {"logits_scaling": 0.1}),  # logits are not the head's
        ("gemma3", {}),  # there is an image tower beside it
        ("llama4", {}),  # its trunk goes by another name than `base_model`
        ("falcon", {"parallel_attn": True}),  # adds to what its layers give, in place
        ("phimoe", {}),
    ],
)
def test_decoders_of_other_makes(
    architecture: str,
    own: dict[str, Any],
    make_config: Make,
    contexts: Contexts,
    tokens: Tokens,
) -> None:
    """Packed, behind a prefix that is trained, against the plain LM: likelihood and gradient."""
    torch.manual_seed(0)
    generator = StoryGenerator(
        make_config(prompt={"max_sequence_tokens": 200}), tiny_decoder(architecture, **own)
    )
    assert generator.decoder.plain_head is (architecture not in ("granite", "llama4"))
    slopes = []
    for pack in (False, True):
        if pack:
            pack_frozen(generator.decoder.lm)
        generator.zero_grad()
        _check_nll(generator, contexts, tokens)
        generator.caption_nll(generator.encode(*contexts).prefix, tokens).sum().backward()
        slope = generator.decoder.from_z.weight.grad
        assert slope is not None
        slopes.append(slope.clone())
    torch.testing.assert_close(*slopes, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma", "gemma2", "gemma3", "xglm", "biogpt"])
def test_a_prefix_starts_at_the_scale_at_which_words_are_read(
    architecture: str, make_config: Make, contexts: Contexts
) -> None:
    """As the layer gives them: in all but GPT-2 that is sqrt(width) times its weights."""
    generator = StoryGenerator(
        make_config(prompt={"max_sequence_tokens": 200}), tiny_decoder(architecture)
    )
    words = generator.decoder.lm.get_input_embeddings()
    read = words(torch.arange(96)).square().mean().sqrt()
    factor = 1 if architecture == "gpt2" else 32**0.5
    torch.testing.assert_close(read, factor * words.weight.square().mean().sqrt())
    prefix = generator.encode(*contexts).prefix
    torch.testing.assert_close(prefix.square().mean().sqrt(), read, rtol=1e-2, atol=0)


def test_what_a_tokenizer_opens_with_stands_before_the_prefix(
    make_config: Make, contexts: Contexts, tokens: Tokens, tmp_path: Path, tiny_gpt2: Path
) -> None:
    lm = tiny_decoder("llama", vocab_size=VOCABULARY)
    folder = save_decoder(lm, tmp_path / "llama", tiny_gpt2, opens=True)
    generator = StoryGenerator.from_config(
        make_config(decoder={"model": folder}, prompt={"max_sequence_tokens": 200})
    ).eval()
    begin = AutoTokenizer.from_pretrained(folder).eos_token_id
    assert generator.decoder.opening.tolist() == [begin]
    _check_nll(generator, contexts, tokens, lm.get_input_embeddings()(torch.tensor([begin])))


def test_room_is_that_of_the_text_part_and_counts_the_opening(make_config: Make) -> None:
    gemma = tiny_decoder("gemma3")
    assert not hasattr(gemma.config, "max_position_embeddings")
    with pytest.raises(UserError, match=r"256 and 5 prefix .* make 261 .* has 256: .* at most 251"):
        StoryGenerator(make_config(prompt={"max_sequence_tokens": 256}), gemma)
    with pytest.raises(UserError, match=r"251 and 6 prefix .* make 257 .* at most 250"):
        StoryGenerator(make_config(prompt={"max_sequence_tokens": 251}), gemma, opening=[2])
    StoryGenerator(make_config(prompt={"max_sequence_tokens": 251}), gemma)


def test_no_limit_by_any_name_is_no_limit() -> None:
    assert position_limit(XLNetConfig()) is None
    assert position_limit(MptConfig(max_seq_len=77)) == 77
    assert position_limit(GPT2Config(n_positions=99)) == 99


def test_a_tokenizer_larger_than_the_embeddings_is_refused_at_loading(
    make_config: Make, tmp_path: Path, tiny_gpt2: Path
) -> None:
    folder = save_decoder(tiny_decoder("llama"), tmp_path / "llama", tiny_gpt2)
    with pytest.raises(UserError, match=r"counts tokens up to \d+, but the model has .* for 96"):
        StoryGenerator.from_config(make_config(decoder={"model": folder}))


def test_a_frozen_decoder_in_bfloat16(
    make_config: Make, contexts: Contexts, tokens: Tokens
) -> None:
    """Half the digits in the LM alone: what is trained, and every loss, stays in float32."""
    halves = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        generator = StoryGenerator.from_config(
            make_config(decoder={"precision": precision}, fusion={"dropout": 0.0})
        )
        assert {p.dtype for p in generator.trainable().values()} == {torch.float32}
        generator.train()
        nll = generator.caption_nll(generator.encode(*contexts).prefix, tokens)
        assert nll.dtype == torch.float32
        nll.sum().backward()
        for name, parameter in generator.trainable().items():
            if name.startswith(("fusion.", "decoder.")):
                assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        halves.append((generator.decoder.lm.dtype, nll.detach(), generator.fingerprint()))
    (dtype, whole, one), (half_dtype, half, other) = halves
    assert (dtype, half_dtype) == (torch.float32, torch.bfloat16)
    torch.testing.assert_close(half, whole, rtol=0.02, atol=0.02)
    assert not torch.equal(half, whole) and one != other


def test_a_decoder_that_is_trained_stays_in_float32(make_config: Make) -> None:
    generator = StoryGenerator.from_config(
        make_config(decoder={"tune": "full", "precision": "auto"})
    )
    assert generator.decoder.lm.dtype == torch.float32
    with pytest.raises(ValueError, match="needs float32"):
        make_config(decoder={"tune": "full", "precision": "bfloat16"})


def test_the_fused_activation_is_the_same_function(tiny_gpt2: Path, make_config: Make) -> None:
    ids = torch.arange(40)[None]
    plain = AutoModelForCausalLM.from_pretrained(tiny_gpt2, dtype=torch.float32).eval()
    assert plain.config.activation_function == "gelu_new"
    ours = StoryGenerator.from_config(make_config()).eval().decoder.lm
    torch.testing.assert_close(ours(ids).logits, plain(ids).logits, rtol=1e-5, atol=1e-5)


def test_errors_are_sentences(make_config: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"decoder\.model .*none.* is no folder here"):
        StoryGenerator.from_config(make_config(decoder={"model": str(tmp_path / "none")}))
    with pytest.raises(UserError, match=r"make 515 positions, but .* has 512: .* at most 507"):
        StoryGenerator.from_config(make_config(prompt={"max_sequence_tokens": 510}))


def test_weights_of_another_shape_are_refused(generator: StoryGenerator, make_config: Make) -> None:
    other = StoryGenerator.from_config(make_config(decoder={"frame_prefix": False}))
    with pytest.raises(UserError, match=r"first difference: decoder\.frame_norm\.bias"):
        generator.load_trainable(other.trainable_state())


def test_a_frozen_decoder_is_packed_and_one_that_is_trained_is_not(make_config: Make) -> None:
    def packed(tune: str) -> set[bool]:
        generator = StoryGenerator.from_config(make_config(decoder={"tune": tune}))
        linear = (PackedLinear, torch.nn.Linear, Conv1D)
        layers = [m for m in generator.decoder.lm.modules() if isinstance(m, linear)]
        return {isinstance(layer, PackedLinear) for layer in layers}

    assert packed("frozen") == {True}
    assert packed("full") == {False}
