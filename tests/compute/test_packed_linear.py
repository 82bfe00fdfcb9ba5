"""Packed layers compute what the plain ones do, forwards and backwards, and leave no trace."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers.pytorch_utils import Conv1D

from pipeline.compute.packed_linear import PackedLinear, pack_frozen, product_dtype

CLOSE = {
    torch.float32: {"rtol": 1e-4, "atol": 1e-5},
    torch.bfloat16: {"rtol": 1e-2, "atol": 1e-2},
    torch.float64: {"rtol": 1e-9, "atol": 1e-9},
}


def assert_same_as_plain(plain: nn.Module, x: torch.Tensor) -> PackedLinear:
    """Output and gradient of the packed layer against those of the plain one."""
    packed = PackedLinear(plain)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected, found = plain(one), packed(other)
    torch.testing.assert_close(found, expected, **CLOSE[x.dtype])
    slope = torch.randn_like(expected)
    expected.backward(slope)
    found.backward(slope)
    torch.testing.assert_close(other.grad, one.grad, **CLOSE[x.dtype])
    return packed


@settings(max_examples=40)
@given(
    rows=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    width=st.integers(1, 40),
    out=st.integers(1, 40),
    conv=st.booleans(),
    bias=st.booleans(),
    dtype=st.sampled_from(list(CLOSE)),
)
def test_output_and_gradient_are_those_of_the_plain_layer(rows, width, out, conv, bias, dtype):
    torch.manual_seed(0)
    plain = Conv1D(out, width) if conv else nn.Linear(width, out, bias=bias)
    plain.requires_grad_(False).to(dtype)
    packed = assert_same_as_plain(plain, torch.randn(*rows, width).to(dtype))
    assert (packed.in_features, packed.out_features) == (width, out)


@pytest.mark.parametrize("shape", [(4, 8), (2, 3, 8)])
def test_what_it_gives_may_be_added_to_in_place(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(8, 5).requires_grad_(False)
    x = torch.randn(shape)
    slopes = []
    for layer in (plain, PackedLinear(plain)):
        entry = x.clone().requires_grad_()
        y = layer(entry)
        y += 1
        y.square().sum().backward()
        slopes.append(entry.grad)
    torch.testing.assert_close(*slopes)


def test_a_subclass_stays_as_it_is() -> None:
    """It may compute something else, as those of low-rank adapters and of Falcon do."""

    class Doubled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    model = nn.Sequential(nn.Linear(8, 8), Doubled(8, 8)).requires_grad_(False)
    x = torch.randn(3, 8)
    expected = model(x)
    pack_frozen(model)
    assert [type(layer) for layer in model] == [PackedLinear, Doubled]
    torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "refused", [[torch.bfloat16], [torch.float32], [torch.bfloat16, torch.float32]]
)
def test_a_processor_that_refuses_a_dtype_computes_the_same(refuse_packing, refused, dtype, bias):
    torch.manual_seed(0)
    plain = nn.Linear(33, 17, bias=bias).requires_grad_(False).to(dtype)
    x = torch.randn(2, 5, 33).to(dtype)
    refuse_packing(*refused)
    packed = assert_same_as_plain(plain, x)
    assert packed(x).dtype == dtype
    assert all(tensor.dtype not in refused for _, tensor in packed._packed.values())


def test_bfloat16_is_multiplied_in_float32_where_it_has_no_kernels(refuse_packing):
    refuse_packing(torch.bfloat16)
    assert product_dtype(torch.bfloat16) == torch.float32
    layer = PackedLinear(nn.Linear(4, 4).requires_grad_(False).bfloat16())
    layer(torch.ones(1, 4, dtype=torch.bfloat16))
    assert [tensor.dtype for _, tensor in layer._packed.values()] == [torch.float32]


@pytest.mark.skipif(
    not getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", bool)(),
    reason="needs a processor with bfloat16 kernels: AVX-512 or AMX",
)
def test_bfloat16_is_multiplied_as_it_is_where_it_has_kernels():
    assert product_dtype(torch.bfloat16) == torch.bfloat16
    layer = PackedLinear(nn.Linear(4, 4).requires_grad_(False).bfloat16())
    layer(torch.ones(1, 4, dtype=torch.bfloat16))
    assert [tensor.dtype for _, tensor in layer._packed.values()] == [torch.bfloat16]


def test_only_frozen_layers_are_replaced_and_their_parameters_keep_their_names():
    model = nn.ModuleDict(
        {
            "embedding": nn.Embedding(7, 4),
            "inner": nn.Sequential(nn.Linear(4, 4), Conv1D(4, 4)),
            "trained": nn.Linear(4, 4),
            "head": nn.Linear(4, 7, bias=False),
        }
    )
    model["head"].weight = model["embedding"].weight
    model.requires_grad_(False)
    model["trained"].requires_grad_(True)
    before = dict(model.named_parameters())
    pack_frozen(model)
    kinds = [type(layer) for layer in (*model["inner"], model["trained"], model["head"])]
    assert kinds == [PackedLinear, PackedLinear, nn.Linear, PackedLinear]
    after = dict(model.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    assert model["head"].weight is model["embedding"].weight


def test_changed_weights_are_packed_anew():
    layer = PackedLinear(nn.Linear(3, 2).requires_grad_(False))
    x = torch.ones(1, 3)
    layer(x)
    with torch.no_grad():
        layer.weight.fill_(2.0)
        layer.bias.fill_(1.0)
    assert layer(x).tolist() == [[7.0, 7.0]]
    assert layer.double()(x.double()).tolist() == [[7.0, 7.0]]


def test_copies_pack_for_themselves():
    layer = PackedLinear(nn.Linear(3, 2).requires_grad_(False))
    x = torch.randn(4, 3)
    expected = layer(x)
    assert torch.equal(copy.deepcopy(layer)(x), expected)


def test_a_build_without_onednn_has_the_plain_layer(monkeypatch, refuse_packing):
    refuse_packing()  # restores what is known of this machine afterwards
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    for plain in (Conv1D(2, 3), nn.Linear(3, 2).bfloat16()):
        x = torch.randn(4, 3).to(plain.weight.dtype)
        assert not assert_same_as_plain(plain.requires_grad_(False), x)._packed
