"""What processes that train do to each other, for `spread` to start: light to import."""

import os
import signal

import torch

from pipeline.common.errors import UserError
from pipeline.training.processes import Processes


def drifts(processes: Processes) -> None:
    processes.check_same([torch.zeros(3)])
    processes.check_same([torch.tensor([0.0, 1e-30 * processes.rank])])


def breaks(processes: Processes) -> None:
    if processes.rank == 1:
        raise ValueError("a bug of ours")
    processes.wait_for_all()


def complains(processes: Processes) -> None:
    if processes.rank == 1:
        raise UserError("the sentence of one")
    processes.wait_for_all()


def vanishes(processes: Processes) -> None:
    if processes.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    processes.wait_for_all()
