"""Training on several processes of PyTorch's `torch.distributed`, as one would train.

Every process has the whole model and all windows, makes every batch whole, and runs the model over
its share of it: every P-th window. What the losses need of the others' shares is gathered, so that
each process computes the same losses of the whole batch, with a way back to its own share alone.
The gradients of all are added up, and each takes the same step. Random numbers are the same
everywhere, and as in one process, but for dropout: each process draws the masks of its own windows.

The first process writes and speaks; the others compute.
"""

import hashlib
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from pipeline.common.errors import UserError, reason
from pipeline.common.process import (
    GRACE_SECONDS,
    SIGNALS,
    TORCHRUN,
    Stopped,
    end_with_parent,
    holding_signals,
    raising_at_signals,
)

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
        with _lost_is_an_error():
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
        with _lost_is_an_error():
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
def _lost_is_an_error() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ProcessLostError(
            f"another of the processes that train has ended ({reason(error)}), so this one does "
            "too: finished work is kept; run the same command to go on"
        ) from error


# --- starting them


def spread(count: Callable[[], int], work: Callable[..., None], *arguments: Any) -> None:
    """Call `work(*arguments, processes)` on every process that trains.

    Those are what torchrun has started, this one among them; else `count()` new ones of this
    machine, which share its threads and end with this one; and for 1, this one itself.

    Raises:
        UserError: of one of them, or one was ended by a signal. All have ended then.
        SystemExit: one has failed and shown its traceback.
    """
    if TORCHRUN in os.environ and int(os.environ["WORLD_SIZE"]) > 1:
        _work_under_torchrun(work, arguments)
        return
    size = count()
    if size == 1:
        work(*arguments, ALONE)
        return
    context = get_context("spawn")
    said = context.SimpleQueue()
    threads = max(1, torch.get_num_threads() // size)
    children: list[BaseProcess] = []
    with tempfile.TemporaryDirectory(prefix="storycache-") as folder:
        meeting = str(Path(folder) / "processes")
        try:
            for rank in range(size):
                given = (meeting, rank, size, threads, said, work, arguments)
                children.append(context.Process(target=_work_as_child, args=given))
                with holding_signals():
                    children[-1].start()
            _wait(children, said)
        finally:
            _end(children)


def refuse_torchrun(stage: str) -> None:
    """Raises UserError where torchrun has started several processes of a stage that is one."""
    if TORCHRUN in os.environ and int(os.environ["WORLD_SIZE"]) > 1:
        raise UserError(
            f"stage {stage} runs in one process: start it without torchrun, as dvc repro does"
        )


def _work_under_torchrun(work: Callable[..., None], arguments: Sequence[Any]) -> None:
    store, rank, size = next(rendezvous("env://"))
    local = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    try:
        _join(store, rank, size, *local)
        work(*arguments, Processes(rank, size))
    except UserError:
        if store.add("errors", 1) > 1:  # another process tells what there is to tell
            raise SystemExit(1) from None
        raise
    dist.destroy_process_group()


def _work_as_child(
    meeting: str,
    rank: int,
    size: int,
    threads: int,
    said: Any,
    work: Callable[..., None],
    arguments: Sequence[Any],
) -> None:
    """One of the processes that `spread` starts; what it has to say goes to that one."""
    end_with_parent()
    try:
        with raising_at_signals():
            torch.set_num_threads(threads)
            for name in {"lo", "lo0"} & {name for _, name in socket.if_nameindex()}:
                os.environ.setdefault("GLOO_SOCKET_IFNAME", name)  # nobody else can connect
            store = dist.FileStore(meeting, size)  # type: ignore[attr-defined]
            _join(store, rank, size, rank, size)
            work(*arguments, Processes(rank, size))
            dist.destroy_process_group()
            return
    except UserError as error:
        said.put(error)
        status = 1
    except Stopped as stop:
        status = stop.status
    except Exception:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # At once: Python's own end takes Gloo's threads apart while they run, which may abort it.
    os._exit(status)


def _join(store: Any, rank: int, size: int, local_rank: int, local_size: int) -> None:
    """Meet the other processes. Raises UserError if this machine has too few GPUs for its own."""
    gpus = torch.cuda.device_count()
    if 0 < gpus < local_size:
        raise UserError(
            f"{local_size} processes are to train on this machine, but it has GPUs for {gpus}: "
            "lower train.processes, or set CUDA_VISIBLE_DEVICES to nothing to train on the CPU"
        )
    if gpus:
        torch.cuda.set_device(local_rank)
    backend = "nccl" if gpus else "gloo"
    with _lost_is_an_error():
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)


def _wait(children: Sequence[BaseProcess], said: Any) -> None:
    """Wait until all have ended well. Raises as `spread` does if one did not."""
    while running := [child for child in children if child.exitcode is None]:
        connection.wait([child.sentinel for child in running])
        if any(child.exitcode for child in children):
            break
    else:
        return
    _join_all(children)  # the others see that one is gone; one may have ended by a signal later
    errors = []
    while not said.empty():
        errors.append(said.get())
    for error in errors:
        if not isinstance(error, ProcessLostError):
            raise error
    for rank, child in enumerate(children):
        status = child.exitcode or 0
        if status < 0 or status - 128 in SIGNALS:  # ended by a signal, or answered one
            name = signal.Signals(-status if status < 0 else status - 128).name
            raise UserError(
                f"process {rank} of the {len(children)} that train was ended by {name}: look "
                "whether memory was short (train.processes, train.batch_size); finished work is "
                "kept; run the same command to go on"
            )
    if len(errors) == sum(child.exitcode == 1 for child in children):
        raise errors[0]
    raise SystemExit(1)  # by an error of ours, which has been shown


def _end(children: Sequence[BaseProcess]) -> None:
    for child in children:
        if child.pid is not None:
            child.terminate()
    _join_all(children)
    for child in children:
        if child.pid is not None:
            child.kill()
            child.join()


def _join_all(children: Sequence[BaseProcess]) -> None:
    """Wait for them, but not for long: one may sit in a call that no signal ends."""
    give_up = time.monotonic() + GRACE_SECONDS
    for child in children:
        if child.pid is not None:
            child.join(max(0.0, give_up - time.monotonic()))
