"""Training on several processes of PyTorch's `torch.distributed`, as one would train.

Every process has the whole model and all windows, makes every batch whole, and runs the model over
its share of it: every P-th window. What the losses need of the others' shares is gathered, so that
each process computes the same losses of the whole batch, with a way back to its own share alone.
The gradients of all are added up, and each takes the same step. Random numbers are the same
everywhere, and as in one process, but for dropout: each process draws the masks of its own windows.

The first process writes and speaks; the others compute. `launch.py` starts them.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipeline.common.errors import UserError, reason

T = TypeVar("T")


class ProcessLostError(UserError):
    """Another process has gone: what ended that one is the error to look at."""


class Processes:
    """The processes of a run as one of them sees it. Of a single one, nothing is ever sent."""

    def __init__(self, rank: int = 0, size: int = 1):
        """`rank` is this one's number, from 0, of `size`. More than one have a process group."""
        self.rank, self.size = rank, size
        self.first = rank == 0
        self.draws = np.random.default_rng(rank)

    # --- work

    def share(self, rows: T) -> T:
        """This process's share of rows: a view, where they are a tensor's."""
        share: T = rows[self.rank :: self.size]  # type: ignore[index]
        return share

    def gather(self, own: Tensor, total: int) -> Tensor:
        """All `total` rows, in their order, of which `own` are this process's share.

        Gradients flow back to its own rows: of a loss that every process computes of all rows,
        those of all processes add up to the loss's own.
        """
        if self.size == 1:
            return own
        whole: Tensor = _Gather.apply(own, total, self)
        return whole

    def total(self, figures: Tensor) -> Tensor:
        """The sum over the processes of a tensor that each of them has."""
        if self.size == 1:
            return figures
        # NCCL sends from a GPU alone, and Gloo from the CPU.
        sent = figures.to("cuda" if dist.get_backend() == "nccl" else "cpu", copy=True)
        with lost_is_an_error():
            dist.all_reduce(sent)
        return sent.to(figures.device)

    def backward(self, loss: Tensor, parameters: Iterable[nn.Parameter]) -> None:
        """Give the parameters their gradients of a loss that every process has computed.

        One that the loss does not reach on any process has none, as after `loss.backward()`.
        """
        if self.size == 1:
            loss.backward()
            return
        if loss.requires_grad:  # or else no window of the batch is this process's
            loss.backward()
        parameters = list(parameters)
        reached = [float(p.grad is not None) for p in parameters]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([grads[0].new_tensor(reached), *(grad.flatten() for grad in grads)])
        reached_by, *parts = self.total(flat).split([len(grads), *(g.numel() for g in grads)])
        for parameter, count, part in zip(parameters, reached_by.tolist(), parts, strict=True):
            parameter.grad = part.view_as(parameter) if count else None

    # --- random numbers

    def begin_step(self, seed: int, step: int) -> None:
        """What `own_masks` draws in this step is decided by run, step and process."""
        if self.size > 1:
            self.draws = np.random.default_rng([seed, step, self.rank + 1])

    @contextmanager
    def own_masks(self) -> Iterator[None]:
        """Within it, this process draws random numbers of its own: for dropout of its windows.

        Those that are drawn outside stay the same on every process.
        """
        if self.size == 1:
            yield
            return
        gpus = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(gpus):
            torch.manual_seed(int(self.draws.integers(2**63)))
            yield

    # --- agreement

    def from_first(self, make: Callable[[], T]) -> T:
        """What the first process makes, handed to all."""
        if self.size == 1:
            return make()
        made = [make() if self.first else None]
        with lost_is_an_error():
            dist.broadcast_object_list(made, src=0)
        return made[0]  # type: ignore[return-value]

    def check_same(self, tensors: Iterable[Tensor]) -> None:
        """Raises UserError unless these tensors are the same on every process, bit for bit."""
        if self.size == 1:
            return
        digest = hashlib.blake2b(digest_size=6)  # a number that float64 holds
        for tensor in tensors:
            digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        own = torch.zeros(self.size, dtype=torch.float64)
        own[self.rank] = int.from_bytes(digest.digest())
        numbers = self.total(own)
        if (numbers != numbers[0]).any():
            raise UserError(
                "the weights of the processes that train are not the same any more: let them run "
                "on processors and versions of PyTorch of one kind and run again, or set "
                "train.processes to 1"
            )

    def wait_for_all(self) -> None:
        """Return when every process has come here."""
        self.total(torch.zeros(1))


ALONE = Processes()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, total: int, processes: Processes) -> Tensor:
        ctx.processes = processes
        # Shares differ in size, which a sum over zeros does not mind.
        whole = own.new_zeros(total, *own.shape[1:])
        processes.share(whole).copy_(own)
        return processes.total(whole)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return ctx.processes.share(grad), None, None


@contextmanager
def lost_is_an_error() -> Iterator[None]:
    """Within it, what PyTorch raises where another process has gone is a `ProcessLostError`."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessLostError(
            f"another of the processes that train has ended ({reason(error)}), so this one does "
            "too: finished work is kept; run the same command to go on"
        ) from error
