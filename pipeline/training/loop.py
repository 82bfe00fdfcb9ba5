"""The one training loop: runs an objective over batches until validation no longer improves.

What is minimised, and what counts as better, is the objective's affair (`objective.py`). The loop
shuffles, steps, validates every epoch, keeps the best epoch's weights, stops early, logs, and goes
on after a kill exactly where the last checkpoint was.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.common.errors import UserError
from pipeline.common.progress import progress_bar
from pipeline.dataset.loaded import LoadedDataset
from pipeline.model.generator import StoryGenerator
from pipeline.params import TrainParams
from pipeline.training.checkpoint import Checkpoints, Progress
from pipeline.training.curves import Curves
from pipeline.training.objective import Objective, Verdict
from pipeline.training.optimiser import learning_rate, make_optimiser

LOG_EVERY_STEPS = 10
"""Training losses are logged as means over so many steps."""
OBJECTIVE = "objective"
"""Before the names of what the objective learned, where that is kept beside the weights."""


class Outcome(NamedTuple):
    """How a run ended."""

    best_epoch: int
    """The epoch whose weights the generator now has, from 0; -1 for those of a warm start."""
    best_value: float
    """The objective's criterion on the validation windows at its end."""
    steps: int
    """Optimiser steps in all."""


def train_loop(
    generator: StoryGenerator,
    objective: Objective,
    train: LoadedDataset,
    val: LoadedDataset,
    params: TrainParams,
    seed: int,
    checkpoints: Checkpoints,
    curves: Curves,
    warm_start: bool = False,
) -> Outcome:
    """Train `generator`; at the end it and the objective have the weights of the best epoch, and
    it is in eval mode.

    Args:
        warm_start: the generator is trained already: it is validated as it comes, and its weights
            are what is kept should no epoch be found better.

    Raises:
        UserError: there are no windows, or a loss or gradient is not finite; names the stories.
    """
    # --- settings
    if not len(train) or not len(val):
        part = "training" if not len(train) else "validation"
        raise UserError(f"no {part} story has context.k + 1 frames: lower context.k")
    steps_per_epoch = len(train.shuffled(params.batch_size, seed, 0))
    total_steps = params.epochs * steps_per_epoch

    # --- optimiser
    parameters = generator.trainable()
    optimiser = make_optimiser(parameters, params)

    # --- loop state: 1. a killed run's checkpoint, else 2. from the start
    progress = Progress()
    restored = checkpoints.restore(parameters, optimiser)
    if restored is not None:
        progress, remembered = restored
        objective.load_state(remembered)
    for step, figures in progress.history:
        curves.log(step, figures)
    bar = progress_bar(total=total_steps, initial=progress.step, desc=objective.label, unit="step")

    def validate() -> tuple[dict[str, float], float]:
        generator.eval()
        with torch.no_grad():
            figures = objective.validate(val.batches(params.batch_size))
        value = figures[objective.criterion]
        if not math.isfinite(value):
            raise _not_finite(figures, progress.step, val.story)
        _log(progress, curves, {f"val/{name}": figure for name, figure in figures.items()})
        return figures, value

    def keep(epoch: int, value: float) -> None:
        progress.best_epoch, progress.best_value = epoch, value
        learned = {f"{OBJECTIVE}/{name}": tensor for name, tensor in objective.state().items()}
        checkpoints.save_best(epoch, generator.trainable_state() | learned)

    if warm_start and progress.start_value is None:
        figures, progress.start_value = validate()
        bar.write(_epoch_line("before training", figures, True))
        keep(-1, progress.start_value)

    while not progress.finished:
        # --- one epoch, or what is left of it
        generator.train()
        batches = train.shuffled(params.batch_size, seed, progress.epoch)
        for rows in batches[progress.position :]:
            # --- step
            rate = learning_rate(progress.step, total_steps, params)
            for group in optimiser.param_groups:
                group["lr"] = rate
            losses = objective(train.batch(rows))
            values = dict(zip(losses, _floats(losses), strict=True))
            if not all(map(math.isfinite, values.values())):
                raise _not_finite(values, progress.step, [train.story[i] for i in rows])
            optimiser.zero_grad(set_to_none=True)
            losses["loss"].backward()
            norm = torch.nn.utils.clip_grad_norm_(parameters.values(), params.max_grad_norm)
            if not math.isfinite(norm.item()):
                stories = [train.story[i] for i in rows]
                raise _not_finite({"gradient norm": norm.item()}, progress.step, stories)
            optimiser.step()

            # --- log
            progress.step += 1
            progress.position += 1
            for name, value in values.items():
                progress.sums[name] = progress.sums.get(name, 0.0) + value
            progress.summed_steps += 1
            if progress.step % LOG_EVERY_STEPS == 0 or progress.position == len(batches):
                _log_training(progress, curves, rate)
            bar.update()
            bar.set_postfix(loss=f"{values['loss']:.3f}", refresh=False)

            # --- save
            due = progress.step % params.checkpoint_every_steps == 0
            if due and progress.position < len(batches):
                checkpoints.save(progress, parameters, optimiser, objective.state())

        # --- evaluate
        figures, value = validate()
        verdict = objective.verdict(value, progress.start_value, progress.best_value)
        kept = verdict is Verdict.KEEP
        bar.write(_epoch_line(f"epoch {progress.epoch + 1}/{params.epochs}", figures, kept))

        # --- keep the best, decide whether to go on
        if kept:
            keep(progress.epoch, value)
        progress.epochs_since_best = 0 if kept else progress.epochs_since_best + 1
        progress.epoch, progress.position = progress.epoch + 1, 0
        progress.finished = (
            progress.epoch == params.epochs
            or progress.epochs_since_best >= params.patience_epochs
            or verdict is Verdict.STOP
        )
        if not progress.finished:
            objective.between_epochs(progress.epoch - 1)
        checkpoints.save(progress, parameters, optimiser, objective.state())
        if kept:
            checkpoints.drop_old_best(progress.epoch - 1)
    bar.close()

    # --- the best epoch's weights
    assert progress.best_epoch is not None and progress.best_value is not None
    weights, learned = _apart(checkpoints.load_best(progress.best_epoch))
    generator.load_trainable(weights)
    objective.load_state(learned)
    generator.eval()
    return Outcome(progress.best_epoch, progress.best_value, progress.step)


def _floats(losses: dict[str, Tensor]) -> list[float]:
    """The values in one transfer, which matters on an accelerator."""
    values: list[float] = torch.stack([loss.detach() for loss in losses.values()]).tolist()
    return values


def _log(progress: Progress, curves: Curves, figures: dict[str, float]) -> None:
    progress.history.append((progress.step, figures))
    curves.log(progress.step, figures)


def _log_training(progress: Progress, curves: Curves, rate: float) -> None:
    means = {f"train/{n}": total / progress.summed_steps for n, total in progress.sums.items()}
    _log(progress, curves, {**means, "train/lr": rate})
    progress.sums, progress.summed_steps = {}, 0


def _apart(kept: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The generator's and the objective's part of what was kept of an epoch."""
    mark = f"{OBJECTIVE}/"
    learned = {n.removeprefix(mark): tensor for n, tensor in kept.items() if n.startswith(mark)}
    return {n: tensor for n, tensor in kept.items() if not n.startswith(mark)}, learned


def _epoch_line(when: str, figures: dict[str, float], kept: bool) -> str:
    shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
    return f"{when}: val {shown}{' (best so far)' if kept else ''}"


def _not_finite(values: dict[str, float], step: int, stories: list[str]) -> UserError:
    shown = ", ".join(f"{name} {value}" for name, value in values.items())
    named = ", ".join(sorted(set(stories))[:16])
    return UserError(
        f"{shown} at step {step} is not finite, in a batch of the stories {named}: try a lower "
        "learning rate (train.lr, gan.lr), more warmup_steps or a lower train.max_grad_norm, and "
        "look at these stories if it stops there again"
    )
