"""What training asks of an objective; it knows nothing else about what is trained."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from enum import Enum

from torch import Tensor

from pipeline.dataset.loaded import Batch
from pipeline.model.generator import StoryGenerator
from pipeline.training.processes import ALONE, Processes


class Verdict(Enum):
    """What an objective thinks of the model at the end of an epoch."""

    KEEP = "keep"
    """The best so far: its weights replace those kept before."""
    WORSE = "worse"
    """Not the best; so many of these in a row as `train.patience_epochs` says end the run."""
    STOP = "stop"
    """No further: the run ends with the weights kept before."""


class Hooks:
    """What training calls besides, of an objective and of its parts: nothing is done by default."""

    def between_epochs(self, epoch: int) -> None:
        """Called after `epoch` (from 0) when another one follows, with the model as it is then."""
        return

    def state(self) -> dict[str, Tensor]:
        """What has been learned or drawn, by name: kept with every checkpoint."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` gave."""
        return


class Objective(Hooks, ABC):
    """Turns batches into named losses, and judges the result of every epoch.

    Two methods must be written; the others are right for an objective that has nothing of its own
    to learn and wants the lowest value of its criterion.
    """

    generator: StoryGenerator
    """What is trained."""
    label: str = "train"
    """What the progress bar calls the run."""
    criterion: str
    """Name of the validation figure by which epochs are judged; lower is better."""
    processes: Processes = ALONE
    """Those that train; an objective that never asks runs in one."""

    @abstractmethod
    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar losses of a training batch; `loss` is minimised, the others are logged.

        Of several processes each is given the whole batch, and has the same losses.
        """

    @abstractmethod
    def validate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Figures over the validation set; called in eval mode and without gradients."""

    def verdict(self, value: float, start: float | None, best: float | None) -> Verdict:
        """Judge an epoch by its criterion, given the criterion before the first step of a warm
        start (None for a cold one) and that of the weights kept so far (None if there are none).
        """
        return Verdict.KEEP if best is None or value < best else Verdict.WORSE
