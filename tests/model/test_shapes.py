"""Shapes in signatures hold: checked at every call under test, and not at all in production."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from pipeline.adversarial.discriminator import Discriminator
from pipeline.adversarial.losses import advantages
from pipeline.dataset.loaded import Modality, epoch_batches
from pipeline.model.losses import contrastive_loss
from pipeline.params import DiscriminatorParams
from tests.processes import python

IDS = torch.arange(3)
WRONG: dict[str, Callable[[], Any]] = {
    "widths differ": lambda: contrastive_loss(torch.ones(3, 4), torch.ones(3, 5), IDS),
    "batches differ": lambda: contrastive_loss(torch.ones(3, 4), torch.ones(3, 4), IDS[:2]),
    "numbers that are no integers": lambda: epoch_batches(np.ones(4), 2, 0, 0),
    "an axis is missing": lambda: advantages(torch.ones(3)),
    "of a module": lambda: Discriminator(4, 4, DiscriminatorParams())(
        torch.ones(3, 4), torch.ones(2, 4)
    ),
    "of a dataclass": lambda: Modality(torch.ones(5, 4), torch.zeros(3, 2).long(), IDS[:2]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_shape_is_refused(case: str) -> None:
    with pytest.raises(TypeCheckError):
        WRONG[case]()


def test_nothing_is_checked_in_production() -> None:
    code = (
        "import sys, torch; from pipeline.adversarial.losses import advantages; "
        "advantages(torch.ones(3, 2, 1)); assert 'beartype' not in sys.modules"
    )
    assert python("-c", code).returncode == 0
