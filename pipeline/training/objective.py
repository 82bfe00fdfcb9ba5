"""What the training loop asks of an objective; it knows nothing else about what is trained."""

from collections.abc import Iterable
from typing import Protocol

from torch import Tensor

from pipeline.training.examples import Batch


class Objective(Protocol):
    """Turns batches into named losses."""

    criterion: str
    """Name of the validation figure by which the best epoch is chosen; lower is better."""

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar losses of a training batch; `loss` is minimised, the others are logged."""
        ...

    def validate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Figures over the validation set; called in eval mode and without gradients."""
        ...
