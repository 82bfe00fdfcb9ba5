"""The trainer: it learns, keeps the best, stops, repeats itself, and refuses what is not finite."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.common.errors import UserError
from pipeline.dataset.loaded import Batch
from pipeline.params import LossParams, TrainParams
from pipeline.training.checkpoint import Checkpoints
from pipeline.training.curves import Curves
from pipeline.training.objective import Objective
from pipeline.training.optimiser import learning_rate
from pipeline.training.supervised import SupervisedObjective
from pipeline.training.trainer import Outcome, Trainer

LOSS = LossParams(alpha=0.5, lambda_=0.25)


def params(**changes: Any) -> TrainParams:
    return TrainParams(**{"batch_size": 8, "lr": 2e-3, "warmup_steps": 5} | changes)


def run(toy: Any, folder: Path, objective: Any = None, **changes: Any) -> Outcome:
    objective = objective or SupervisedObjective(toy.generator, LOSS)
    torch.manual_seed(1)
    with Curves(folder / "live") as curves:
        checkpoints = Checkpoints(folder / "state")
        data = (toy.train, toy.val)
        return Trainer(objective, *data, params(**changes), 3, checkpoints, curves).run()


def other_prefix_nll(toy: Any) -> tuple[float, float]:
    """nll per token with the own prefix and with one from a window with another target."""
    own = other = 0.0
    batch = next(toy.train.batches(len(toy.train)))
    ids = batch["target_text_id"]
    differs = torch.tensor([int((ids != i).nonzero()[0]) for i in ids])
    with torch.no_grad():
        prefix = toy.generator.encode(batch["images"], batch["texts"]).prefix
        tokens = batch["target_mask"].sum()
        own = (toy.generator.caption_nll(prefix, batch).sum() / tokens).item()
        other = (toy.generator.caption_nll(prefix[differs], batch).sum() / tokens).item()
    return own, other


def test_it_learns_what_only_the_pictures_tell(toy: Any, tmp_path: Path) -> None:
    objective = SupervisedObjective(toy.generator.eval(), LOSS)
    before = objective.validate(toy.val.batches(8))
    outcome = run(toy, tmp_path, epochs=20, lr=5e-3, patience_epochs=20)
    after = objective.validate(toy.val.batches(8))
    assert after["nll"] == pytest.approx(outcome.best_value, abs=1e-6)
    assert after["nll"] < 0.3 * before["nll"]
    # The text head learns its target; the image of the target depends on what comes after it.
    assert after["loss_align"] < 0.5 * before["loss_align"]
    own, other = other_prefix_nll(toy)
    assert other - own > 0.1


@pytest.mark.parametrize("toy", ["frozen", "lora"], indirect=True)
def test_a_frozen_decoder_is_untouched(toy: Any, tmp_path: Path) -> None:
    frozen = [p for p in toy.generator.parameters() if not p.requires_grad]
    before = [p.clone() for p in frozen]
    assert len(before) == 28  # all of GPT-2, below adapters too
    start = {n: p.clone() for n, p in toy.generator.trainable().items()}
    run(toy, tmp_path, epochs=1)
    for old, new in zip(before, frozen, strict=True):
        assert torch.equal(old, new)
    for name, parameter in toy.generator.trainable().items():
        assert not torch.equal(parameter, start[name]), name


def test_validation_nll_does_not_depend_on_batches(toy: Any) -> None:
    objective = SupervisedObjective(toy.generator.eval(), LOSS)
    together = objective.validate(toy.val.batches(5))
    one_by_one = objective.validate(toy.val.batches(1))
    assert together["nll"] == pytest.approx(one_by_one["nll"], rel=1e-5)
    whole = together["nll"] + 0.5 * together["loss_img"] + 0.25 * together["loss_align"]
    assert together["loss"] == pytest.approx(whole, rel=1e-6)


class ByScript(Objective):
    """An objective whose validation figures are given: pulls the weights along, epoch by epoch."""

    criterion = "value"

    def __init__(self, generator: Any, values: list[float]):
        self.generator = generator
        self.bias = generator.image_head.layers[0].bias
        self.values = iter(values)
        self.seen: list[torch.Tensor] = []

    def __call__(self, batch: Batch) -> dict[str, torch.Tensor]:
        return {"loss": self.bias.sum()}

    def validate(self, batches: Iterable[Batch]) -> dict[str, float]:
        self.seen.append(self.bias.detach().clone())
        return {"value": next(self.values)}


def test_best_epoch_is_kept_and_patience_ends_the_run(toy: Any, tmp_path: Path) -> None:
    objective = ByScript(toy.generator, [3.0, 1.0, 2.0, 1.5, 0.1])
    outcome = run(toy, tmp_path, objective, epochs=5)
    assert outcome == Outcome(best_epoch=1, best_value=1.0, steps=4 * 15)
    assert torch.equal(toy.generator.image_head.layers[0].bias, objective.seen[1])
    assert not torch.equal(objective.seen[1], objective.seen[3])
    assert not toy.generator.training


def test_curves(toy: Any, tmp_path: Path) -> None:
    run(toy, tmp_path)
    tables = {
        str(path.relative_to(tmp_path / "live" / "plots" / "metrics"))
        for path in (tmp_path / "live").rglob("*.tsv")
    }
    names = ["loss", "nll", "loss_img", "loss_align"]
    assert tables == {f"{part}/{n}.tsv" for part in ("train", "val") for n in names} | {
        "train/lr.tsv"
    }
    lines = (tmp_path / "live/plots/metrics/val/nll.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == ["step", "15", "30"]


class NotFinite(SupervisedObjective):
    """Breaks in the third step."""

    steps = 0

    def __call__(self, batch: Batch) -> dict[str, torch.Tensor]:
        self.steps += 1
        losses = super().__call__(batch)
        return losses | {"loss": losses["loss"] * (float("nan") if self.steps == 3 else 1)}


def test_a_loss_that_is_not_finite_names_the_stories(toy: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"loss nan.* at step 2 .* stories story-\d\d, .*train\.lr"):
        run(toy, tmp_path, NotFinite(toy.generator, LOSS))


def test_no_windows_is_a_sentence(toy: Any, tmp_path: Path) -> None:
    empty = replace(toy, val=replace(toy.val, windows=toy.val.windows.select([])))
    with pytest.raises(UserError, match="no validation story has"):
        run(empty, tmp_path)


def test_learning_rate() -> None:
    given = params(lr=1.0, warmup_steps=4)
    rates = [learning_rate(step, 20, given) for step in range(21)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0 and rates[12] == pytest.approx(0.5) and rates[20] == pytest.approx(0)
    assert all(a >= b for a, b in pairwise(rates[4:]))
    constant = params(lr=1.0, warmup_steps=4, schedule="constant")
    assert [learning_rate(step, 20, constant) for step in (0, 3, 4, 12, 20)] == [0.25, 1, 1, 1, 1]
