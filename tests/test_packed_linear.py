"""Packed layers compute what the plain ones do, forwards and backwards, and leave no trace."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers.pytorch_utils import Conv1D

from pipeline.packed_linear import PackedLinear, pack_frozen


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    width=st.integers(1, 40),
    out=st.integers(1, 40),
    conv=st.booleans(),
    bias=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_output_and_gradient_are_those_of_the_plain_layer(rows, width, out, conv, bias, dtype):
    torch.manual_seed(0)
    plain = Conv1D(out, width) if conv else nn.Linear(width, out, bias=bias)
    plain.requires_grad_(False).to(dtype)
    packed = PackedLinear(plain)
    assert (packed.in_features, packed.out_features) == (width, out)
    x = torch.randn(*rows, width).to(dtype)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected, found = plain(one), packed(other)
    close = (
        {"rtol": 1e-2, "atol": 1e-2} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-5}
    )
    torch.testing.assert_close(found, expected, **close)
    slope = torch.randn_like(expected)
    expected.backward(slope)
    found.backward(slope)
    torch.testing.assert_close(other.grad, one.grad, **close)


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


def test_where_nothing_can_be_packed_it_is_the_plain_layer(monkeypatch: pytest.MonkeyPatch):
    plain = Conv1D(2, 3).requires_grad_(False)
    layer = PackedLinear(plain)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    x = torch.randn(4, 3, requires_grad=True)
    torch.testing.assert_close(layer(x), plain(x))
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.grad_input(torch.ones(4, 2)))
    assert not layer._packed
