"""Our attention computes what PyTorch's does, and goes to the models and machines it is for."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, GPT2Config

from pipeline.compute import attention
from pipeline.compute.attention import (
    FUSED,
    FUSED_FORWARD,
    PLAIN,
    fused_forward_attention,
    plain_attention,
    use_fastest_attention,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
BFLOAT16 = {"rtol": 2e-2, "atol": 2e-2}


def states(batch: int, heads: int, shared: int, length: int, keys: int) -> list[torch.Tensor]:
    """Query, key and value; `shared` queries to a key."""
    torch.manual_seed(0)
    shapes = [(batch, heads * shared, length, 8), (batch, heads, keys, 8), (batch, heads, keys, 8)]
    return [torch.randn(shape).bfloat16().requires_grad_() for shape in shapes]


def expected(query, key, value, mask, causal: bool, scaling: float | None) -> torch.Tensor:
    """By PyTorch, in float32: [B, L, heads, D]."""
    shared = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(shared, dim=1) for x in (key, value))
    attended = F.scaled_dot_product_attention(
        *(x.float() for x in (query, key, value)), attn_mask=mask, is_causal=causal, scale=scaling
    )
    return attended.transpose(1, 2)


@settings(max_examples=40)
@given(
    batch=st.integers(1, 3),
    heads=st.integers(1, 3),
    shared=st.integers(1, 2),
    length=st.integers(1, 9),
    causal=st.booleans(),
    scaling=st.sampled_from([None, 0.3]),
    ours=st.sampled_from([plain_attention, fused_forward_attention]),
)
def test_output_and_gradients(batch, heads, shared, length, causal, scaling, ours):
    own = states(batch, heads, shared, length, length)
    theirs = [x.detach().clone().requires_grad_() for x in own]
    module = SimpleNamespace(is_causal=causal, num_key_value_groups=shared)
    found, weights = ours(module, *own, None, scaling=scaling)
    wanted = expected(*theirs, None, causal, scaling)
    assert weights is None and found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, **BFLOAT16)
    slope = torch.randn_like(wanted)
    found.backward(slope.bfloat16())
    wanted.backward(slope)
    for one, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=5e-2, atol=5e-2)
    with torch.no_grad():
        again, _ = ours(module, *own, None, scaling=scaling)
    torch.testing.assert_close(again.float(), wanted.detach(), **BFLOAT16)


@pytest.mark.parametrize("ours", [plain_attention, fused_forward_attention])
def test_it_computes_the_same_where_bfloat16_has_no_kernels(refuse_packing, ours) -> None:
    refuse_packing(torch.bfloat16)
    own = states(2, 2, 2, 5, 5)
    theirs = [x.detach().clone().requires_grad_() for x in own]
    found, _ = ours(SimpleNamespace(is_causal=True, num_key_value_groups=2), *own, None)
    wanted = expected(*theirs, None, True, None)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, **BFLOAT16)
    found.float().sum().backward()
    wanted.sum().backward()
    for one, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=5e-2, atol=5e-2)


@pytest.mark.parametrize("ours", [plain_attention, fused_forward_attention])
@pytest.mark.parametrize("length", [1, 4])
def test_a_mask_of_each_row_counts_alone(ours, length: int) -> None:
    """Rows padded on the left, as in generation, whose queries are the last of the keys."""
    keys = 7
    own = states(3, 2, 1, length, keys)
    mask = torch.ones(3, 1, length, keys, dtype=torch.bool).tril(keys - length)
    for row, padding in enumerate((0, 2, 3)):
        mask[row, :, :, :padding] = False
    module = SimpleNamespace(is_causal=True, num_key_value_groups=1)
    with torch.no_grad():
        found, _ = ours(module, *own, mask)
    wanted = expected(*own, mask, False, None).detach()
    torch.testing.assert_close(found.float(), wanted, **BFLOAT16)


def test_without_a_mask_a_single_query_sees_every_key() -> None:
    own = states(2, 2, 1, 1, 5)
    found, _ = plain_attention(SimpleNamespace(is_causal=True), *own, None)
    torch.testing.assert_close(found.float(), expected(*own, None, False, None), **BFLOAT16)


@pytest.mark.parametrize("ours", [plain_attention, fused_forward_attention])
def test_a_position_bias_counts(ours) -> None:
    """As MPT's attention hands one in, on top of its causal mask."""
    own = states(2, 2, 1, 5, 5)
    bias = torch.randn(1, 2, 5, 5).bfloat16()
    found, _ = ours(SimpleNamespace(is_causal=True), *own, None, position_bias=bias)
    mask = bias.float().masked_fill(torch.ones(5, 5).triu(1).bool(), float("-inf"))
    torch.testing.assert_close(found.float(), expected(*own, mask, False, None), **BFLOAT16)


def small_lm(dtype: torch.dtype, **settings: object):
    config = GPT2Config(n_embd=16, n_head=2, n_layer=2, vocab_size=50, n_positions=32)
    return AutoModelForCausalLM.from_config(config, dtype=dtype, **settings).eval()


@pytest.mark.parametrize(
    ("dtype", "device", "kernels", "amx", "name"),
    [
        (torch.bfloat16, CPU, False, False, FUSED_FORWARD),
        (torch.bfloat16, CPU, True, False, PLAIN),
        (torch.bfloat16, CPU, True, True, FUSED_FORWARD),
        (torch.float32, CPU, True, True, FUSED),
        (torch.bfloat16, CUDA, True, True, FUSED),
    ],
)
def test_it_is_for_bfloat16_on_a_cpu(monkeypatch, dtype, device, kernels, amx, name) -> None:
    monkeypatch.setattr(attention, "cpu_has_amx", lambda: amx)
    products = torch.bfloat16 if kernels else torch.float32
    monkeypatch.setattr(attention, "product_dtype", lambda _: products)
    lm = small_lm(dtype)
    use_fastest_attention(lm, device)
    assert lm.config._attn_implementation == name


def test_a_model_without_fused_attention_keeps_its_own() -> None:
    lm = small_lm(torch.bfloat16, attn_implementation="eager")
    use_fastest_attention(lm, CPU)
    assert lm.config._attn_implementation == "eager"


@pytest.mark.parametrize("refused", [[], [torch.bfloat16]])
@pytest.mark.parametrize("amx", [True, False])
def test_a_language_model_says_the_same_with_it(monkeypatch, refuse_packing, amx, refused) -> None:
    monkeypatch.setattr(attention, "cpu_has_amx", lambda: amx)
    refuse_packing(*refused)
    torch.manual_seed(0)
    lm = small_lm(torch.bfloat16)
    ids = torch.randint(50, (2, 9))
    mask = torch.ones_like(ids)
    mask[1, :3] = 0
    inputs = [{"input_ids": ids}, {"input_ids": ids, "attention_mask": mask}]
    with torch.no_grad():
        before = [lm(**i).logits[:, 3:].float() for i in inputs]
        use_fastest_attention(lm, CPU)
        after = [lm(**i).logits[:, 3:].float() for i in inputs]
    torch.testing.assert_close(after, before, **BFLOAT16)
