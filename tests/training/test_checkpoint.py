"""A checkpoint that is damaged is told, and the run starts anew; a whole one gives all back."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pipeline.training.checkpoint import Checkpoints, Progress
from tests.damage import damaged


def trained() -> tuple[dict[str, nn.Parameter], torch.optim.AdamW]:
    """Two parameters after a step of AdamW."""
    torch.manual_seed(0)
    parameters = {name: nn.Parameter(torch.randn(3, 2)) for name in ("a", "b")}
    optimiser = torch.optim.AdamW(parameters.values(), lr=0.1)
    sum((p**2).sum() for p in parameters.values()).backward()
    optimiser.step()
    return parameters, optimiser


def saved(folder: Path) -> Checkpoints:
    checkpoints = Checkpoints(folder)
    parameters, optimiser = trained()
    checkpoints.save_best(1, {"a": parameters["a"].detach()})
    progress = Progress(step=7, best_epoch=1, history=[(5, {"train/loss": 0.1})], sums={"loss": 2})
    checkpoints.save(progress, parameters, optimiser, {"drawn": torch.tensor([0.5])})
    return checkpoints


def test_all_comes_back(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path)
    parameters = {name: nn.Parameter(torch.zeros(3, 2)) for name in ("a", "b")}
    optimiser = torch.optim.AdamW(parameters.values(), lr=0.1)
    restored = checkpoints.restore(parameters, optimiser)
    assert restored is not None
    progress, objective = restored
    assert progress == Progress(
        step=7, best_epoch=1, history=[(5, {"train/loss": 0.1})], sums={"loss": 2}
    )
    assert objective["drawn"].tolist() == [0.5]
    wanted, of = trained()
    for name, parameter in wanted.items():
        assert torch.equal(parameters[name], parameter)
        state = optimiser.state[parameters[name]]
        assert torch.equal(state["exp_avg"], of.state[parameter]["exp_avg"])
    assert torch.equal(checkpoints.load_best(1)["a"], wanted["a"])


@settings(max_examples=150)
@given(data=st.data())
def test_any_damage_is_told_and_leaves_everything_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    checkpoints = saved(tmp_path)
    path = data.draw(st.sampled_from(sorted(tmp_path.iterdir())))
    whole = path.read_bytes()
    path.write_bytes(data.draw(damaged(whole)))
    parameters = {name: nn.Parameter(torch.zeros(3, 2)) for name in ("a", "b")}
    optimiser = torch.optim.AdamW(parameters.values(), lr=0.1)
    random = torch.get_rng_state()
    restored = checkpoints.restore(parameters, optimiser)
    said = capsys.readouterr().err
    if restored is None:
        assert said.startswith(f"warning: {path} ") and said.endswith("; the run starts anew\n")
        assert said.count("\n") == 1
        assert not parameters["a"].any() and not optimiser.state
        assert torch.equal(torch.get_rng_state(), random)
    else:
        assert torch.equal(parameters["a"], trained()[0]["a"]) and not said
    path.unlink()
    assert checkpoints.restore(parameters, optimiser) is None
    capsys.readouterr()


def test_nothing_saved_is_a_new_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parameters, optimiser = trained()
    assert Checkpoints(tmp_path / "none").restore(parameters, optimiser) is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_the_random_state_of_an_accelerator_comes_back(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PyTorch would keep it on such a machine."""
    now = [torch.arange(16, dtype=torch.uint8)]
    of = getattr(torch, kind)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: kind == "cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: kind == "mps")
    monkeypatch.setattr(of, "get_rng_state", lambda: now[0])
    monkeypatch.setattr(of, "set_rng_state", lambda state: now.insert(0, state))
    parameters, optimiser = trained()
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(Progress(), parameters, optimiser, {})
    now[0] = torch.zeros(16, dtype=torch.uint8)
    assert checkpoints.restore(parameters, optimiser) is not None
    assert now[0].tolist() == list(range(16))
