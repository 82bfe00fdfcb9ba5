"""The trainer: runs an objective over batches until validation no longer improves.

What is minimised, and what counts as better, is the objective's affair (`objective.py`). The
trainer shuffles, steps, validates every epoch, keeps the best epoch's weights, stops early, logs,
and goes on after a kill exactly where the last checkpoint was.
"""

import math
from typing import NamedTuple

import torch
from numpy import ndarray
from tqdm import tqdm

from pipeline.common.errors import UserError
from pipeline.common.progress import progress_bar
from pipeline.dataset.loaded import LoadedDataset
from pipeline.params import TrainParams
from pipeline.training.checkpoint import Checkpoints, Progress
from pipeline.training.curves import Curves
from pipeline.training.objective import Objective, Verdict
from pipeline.training.optimiser import learning_rate, make_optimiser

LOG_EVERY_STEPS = 10
"""Training losses are logged as means over so many steps."""
OBJECTIVE = "objective/"
"""Before the names of what the objective learned, where that is kept beside the weights."""


class Outcome(NamedTuple):
    """How a run ended."""

    best_epoch: int
    """The epoch whose weights the generator now has, from 0; -1 for those of a warm start."""
    best_value: float
    """The objective's criterion on the validation windows at its end."""
    steps: int
    """Optimiser steps in all."""


class Trainer:
    """One run, from its last checkpoint if it has one."""

    def __init__(
        self,
        objective: Objective,
        train: LoadedDataset,
        val: LoadedDataset,
        params: TrainParams,
        seed: int,
        checkpoints: Checkpoints,
        curves: Curves | None,
    ):
        """Raises UserError where there are no windows to train or to validate on.

        Of several processes the first alone writes checkpoints, and has curves.
        """
        # --- settings
        for part, data in (("training", train), ("validation", val)):
            if not len(data):
                raise UserError(f"no {part} story has context.k + 1 frames: lower context.k")
        self.params, self.seed = params, seed
        self.train, self.val = train, val
        self.total_steps = params.epochs * len(train.shuffled(params.batch_size, seed, 0))
        self.checkpoints, self.curves = checkpoints, curves

        # --- model and optimiser
        self.objective = objective
        self.processes = objective.processes
        self.generator = objective.generator
        self.parameters = self.generator.trainable()
        self.optimiser = make_optimiser(self.parameters, params)

        # --- loop state: 1. a killed run's checkpoint, else 2. from the start
        self.progress = Progress()
        restored = checkpoints.restore(self.parameters, self.optimiser)
        if restored is not None:
            self.progress, remembered = restored
            objective.load_state(remembered)
        self._check_same()

    def run(self, warm_start: bool = False) -> Outcome:
        """Train; at the end generator and objective have the weights of the best epoch, and the
        generator is in eval mode.

        Args:
            warm_start: the generator is trained already: it is validated as it comes, and its
                weights are what is kept should no epoch be found better.

        Raises:
            UserError: a loss or gradient is not finite; names the stories.
        """
        progress = self.progress
        for step, figures in progress.history:
            self._draw(step, figures)
        with progress_bar(
            total=self.total_steps,
            initial=progress.step,
            desc=self.objective.label,
            unit="step",
            disable=not self.processes.first,
        ) as bar:
            # --- a warm start, as it comes
            if warm_start and progress.start_value is None:
                figures, progress.start_value = self._validate()
                self._tell(bar, "before training", figures, True)
                self._keep(-1, progress.start_value)

            # --- epochs
            while not progress.finished:
                self._train_epoch(bar)
                self._judge_epoch(bar)

        # --- the best epoch's weights
        assert progress.best_epoch is not None and progress.best_value is not None
        kept = self.checkpoints.load_best(progress.best_epoch)
        learned = {n.removeprefix(OBJECTIVE): t for n, t in kept.items() if n.startswith(OBJECTIVE)}
        self.generator.load_trainable(
            {n: t for n, t in kept.items() if not n.startswith(OBJECTIVE)}
        )
        self.objective.load_state(learned)
        self.processes.wait_for_all()  # before the first one clears up
        self.generator.eval()
        return Outcome(progress.best_epoch, progress.best_value, progress.step)

    def _train_epoch(self, bar: "tqdm[None]") -> None:
        """The steps of an epoch, or those that are left of it."""
        progress, params = self.progress, self.params
        self.generator.train()
        batches = self.train.shuffled(params.batch_size, self.seed, progress.epoch)
        for rows in batches[progress.position :]:
            # --- step
            rate = learning_rate(progress.step, self.total_steps, params)
            values = self._step(rows, rate)

            # --- log
            progress.step += 1
            progress.position += 1
            for name, value in values.items():
                progress.sums[name] = progress.sums.get(name, 0.0) + value
            progress.summed_steps += 1
            if progress.step % LOG_EVERY_STEPS == 0 or progress.position == len(batches):
                self._log_training(rate)
            bar.update()
            bar.set_postfix(loss=f"{values['loss']:.3f}", refresh=False)

            # --- save
            due = progress.step % params.checkpoint_every_steps == 0
            if due and progress.position < len(batches):
                self._save()

    def _step(self, rows: ndarray, rate: float) -> dict[str, float]:
        """One optimiser step on the windows `rows`; the losses before it."""
        self.processes.begin_step(self.seed, self.progress.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        losses = self.objective(self.train.batch(rows))
        # In one transfer, which matters on an accelerator.
        numbers = torch.stack([loss.detach() for loss in losses.values()]).tolist()
        values = dict(zip(losses, numbers, strict=True))
        self._check_finite(values, rows)
        self.optimiser.zero_grad(set_to_none=True)
        self.processes.backward(losses["loss"], self.parameters.values())
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.params.max_grad_norm)
        self._check_finite({"gradient norm": norm.item()}, rows)
        self.optimiser.step()
        return values

    def _judge_epoch(self, bar: "tqdm[None]") -> None:
        """Validate, keep the weights if they are the best, decide whether to go on, and save."""
        progress, params = self.progress, self.params

        # --- evaluate
        figures, value = self._validate()
        verdict = self.objective.verdict(value, progress.start_value, progress.best_value)
        kept = verdict is Verdict.KEEP
        self._tell(bar, f"epoch {progress.epoch + 1}/{params.epochs}", figures, kept)

        # --- keep the best, decide whether to go on
        if kept:
            self._keep(progress.epoch, value)
        progress.epochs_since_best = 0 if kept else progress.epochs_since_best + 1
        progress.epoch, progress.position = progress.epoch + 1, 0
        progress.finished = (
            progress.epoch == params.epochs
            or progress.epochs_since_best >= params.patience_epochs
            or verdict is Verdict.STOP
        )
        if not progress.finished:
            self.objective.between_epochs(progress.epoch - 1)

        # --- save
        self._save()
        if kept and self.processes.first:
            self.checkpoints.drop_old_best(progress.epoch - 1)

    def _validate(self) -> tuple[dict[str, float], float]:
        """The objective's figures of the validation windows, and its criterion among them."""
        self.generator.eval()
        with torch.no_grad():
            figures = self.objective.validate(self.val.batches(self.params.batch_size))
        value = figures[self.objective.criterion]
        if not math.isfinite(value):
            raise _not_finite(figures, self.progress.step, self.val.story)
        self._log({f"val/{name}": figure for name, figure in figures.items()})
        return figures, value

    def _check_finite(self, values: dict[str, float], rows: ndarray) -> None:
        if not all(map(math.isfinite, values.values())):
            stories = [self.train.story[i] for i in rows]
            raise _not_finite(values, self.progress.step, stories)

    def _keep(self, epoch: int, value: float) -> None:
        self.progress.best_epoch, self.progress.best_value = epoch, value
        if not self.processes.first:
            return
        learned = {f"{OBJECTIVE}{name}": t for name, t in self.objective.state().items()}
        self.checkpoints.save_best(epoch, self.generator.trainable_state() | learned)

    def _save(self) -> None:
        self._check_same()
        if self.processes.first:
            state = self.objective.state()
            self.checkpoints.save(self.progress, self.parameters, self.optimiser, state)

    def _check_same(self) -> None:
        self.processes.check_same([*self.parameters.values(), torch.get_rng_state()])

    def _log(self, figures: dict[str, float]) -> None:
        self.progress.history.append((self.progress.step, figures))
        self._draw(self.progress.step, figures)

    def _draw(self, step: int, figures: dict[str, float]) -> None:
        if self.curves is not None:
            self.curves.log(step, figures)

    def _tell(self, bar: "tqdm[None]", when: str, figures: dict[str, float], kept: bool) -> None:
        if self.processes.first:
            shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
            bar.write(f"{when}: val {shown}{' (best so far)' if kept else ''}")

    def _log_training(self, rate: float) -> None:
        sums, steps = self.progress.sums, self.progress.summed_steps
        self._log(
            {f"train/{name}": total / steps for name, total in sums.items()} | {"train/lr": rate}
        )
        self.progress.sums, self.progress.summed_steps = {}, 0


def _not_finite(values: dict[str, float], step: int, stories: list[str]) -> UserError:
    shown = ", ".join(f"{name} {value}" for name, value in values.items())
    named = ", ".join(sorted(set(stories))[:16])
    return UserError(
        f"{shown} at step {step} is not finite, in a batch of the stories {named}: try a lower "
        "learning rate (train.lr, gan.lr), more warmup_steps or a lower train.max_grad_norm, and "
        "look at these stories if it stops there again"
    )
