"""What a language model is asked to do when it is loaded, on tiny ones of every kind."""

from typing import Any

import pytest
import torch

from benchmarks.tiny_decoders import tiny_decoder
from pipeline.common.errors import UserError
from pipeline.model.check import Abilities, check_model


@pytest.mark.parametrize(
    ("architecture", "cached"),
    [
        ("gpt2", True),
        ("llama", True),
        ("mamba", True),
        ("mamba2", True),
        ("jamba", True),
        ("lfm2", True),
        ("qwen3_next", True),
        ("rwkv", False),  # its state goes by another name
        ("openai-gpt", False),  # it has none
        ("recurrent_gemma", False),  # its padding is remembered
        ("bart", False),  # it counts positions through the padding
    ],
)
def test_whether_a_cache_equals_reading_from_the_start(architecture: str, cached: bool) -> None:
    assert check_model(tiny_decoder(architecture), architecture).cached is cached


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cache_that_is_not_handed_on_is_found_out(dtype: torch.dtype) -> None:
    """As it happens in silence: an argument that a model does not know vanishes."""
    lm = tiny_decoder("llama").to(dtype)
    assert check_model(lm, "llama") == Abilities(plain_head=True, cached=True)
    forward = lm.forward

    def forgets(past_key_values: Any = None, **inputs: Any) -> Any:
        mask = inputs.pop("attention_mask", None)
        width = next(iter(inputs.values())).shape[1]
        return forward(attention_mask=None if mask is None else mask[:, -width:], **inputs)

    lm.forward = forgets
    assert check_model(lm, "llama") == Abilities(plain_head=True, cached=False)


def test_a_cache_that_cannot_lose_rows_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AttributeError("no such thing for this layer")

    lm = tiny_decoder("llama")
    monkeypatch.setattr("transformers.Cache.reorder_cache", refuse)
    assert not check_model(lm, "llama").cached


def test_logits_that_are_more_than_the_head() -> None:
    plain = tiny_decoder("gemma2", final_logit_softcapping=None)
    assert check_model(plain, "gemma2") == Abilities(plain_head=True, cached=True)
    capped = tiny_decoder("gemma2", final_logit_softcapping=30.0)
    assert check_model(capped, "gemma2") == Abilities(plain_head=False, cached=True)
    assert check_model(tiny_decoder("gemma3"), "gemma3").cached  # with an image tower beside it


@pytest.mark.parametrize("architecture", ["bert", "roberta", "electra", "xlnet"])
def test_what_sees_the_words_to_come_is_refused(architecture: str) -> None:
    with pytest.raises(UserError, match=f"^decoder.model {architecture} sees the words to come"):
        check_model(tiny_decoder(architecture, is_decoder=False), architecture)


def test_a_bert_that_is_told_to_be_a_decoder_is_one() -> None:
    check_model(tiny_decoder("bert", is_decoder=True), "bert")


def test_what_needs_the_words_themselves_is_refused() -> None:
    """Gemma 4 looks up every embedding which word it is of: a prefix is of none."""
    with pytest.raises(UserError, match="gemma4_text cannot read embeddings"):
        check_model(tiny_decoder("gemma4_text"), "gemma4_text")


def test_tokens_that_are_more_than_their_embeddings_are_refused() -> None:
    lm = tiny_decoder("llama", tie_word_embeddings=False)
    trunk = lm.base_model
    forward = trunk.forward

    def louder(input_ids: torch.Tensor | None = None, **inputs: Any) -> Any:
        if input_ids is not None:
            inputs["inputs_embeds"] = 2 * trunk.embed_tokens(input_ids)
        return forward(**inputs)

    trunk.forward = louder
    with pytest.raises(UserError, match="computes otherwise from embeddings than from tokens"):
        check_model(lm, "llama")


def test_numbers_that_are_not_finite_are_refused() -> None:
    lm = tiny_decoder("gpt2")
    with torch.no_grad():
        lm.transformer.h[1].mlp.c_proj.weight[3, 3] = float("nan")
    with pytest.raises(UserError, match="computes numbers that are not finite"):
        check_model(lm, "gpt2")


@pytest.mark.parametrize("training", [True, False])
def test_it_leaves_the_mode_and_the_random_numbers_alone(training: bool) -> None:
    lm = tiny_decoder("gpt2").train(training)
    before = torch.get_rng_state()
    check_model(lm, "gpt2")
    assert lm.training is training
    assert torch.equal(torch.get_rng_state(), before)
