"""Tensors with a checksum: back as they went, and no damage goes unnoticed."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.common.tensors import load_tensors, save_tensors
from tests.damage import damaged

TENSORS = {
    "weight": torch.linspace(-1, 1, 12).reshape(3, 4),
    "half": torch.linspace(-1, 1, 5).bfloat16(),
    "step": torch.tensor(7.0),
    "none": torch.zeros(0, 3),
    "random": torch.arange(9, dtype=torch.uint8),
    "flag": torch.tensor([True, False]),
}
HEADER = {"step": 7, "history": [[1, {"loss": 0.1}]], "best": None}


def test_back_as_they_went_and_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        save_tensors(tmp_path / name, TENSORS, HEADER)
    tensors, header = load_tensors(tmp_path / "a", "do it again")
    assert header == HEADER and tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype and torch.equal(tensors[name], tensor)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_view_is_saved_as_what_it_shows(tmp_path: Path) -> None:
    save_tensors(tmp_path / "a", {"x": TENSORS["weight"].T, "y": TENSORS["weight"][:, 1]}, {})
    tensors, _ = load_tensors(tmp_path / "a", "")
    assert torch.equal(tensors["x"], TENSORS["weight"].T)
    assert torch.equal(tensors["y"], TENSORS["weight"][:, 1])


@settings(max_examples=400)
@given(data=st.data())
def test_any_damage_is_one_sentence_or_changes_nothing(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "file"
    save_tensors(path, TENSORS, HEADER)
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    try:
        tensors, header = load_tensors(path, "do it again")
    except UserError as error:
        assert str(error).endswith("; do it again")
        assert "\n" not in str(error)
        return
    assert header == HEADER and tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype and torch.equal(tensors[name], tensor)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone is missing; do it again"):
        load_tensors(tmp_path / "gone", "do it again")
