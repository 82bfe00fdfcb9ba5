"""Starting the processes that train, and ending all of them when one ends."""

import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from pipeline.common.errors import UserError
from pipeline.common.process import (
    GRACE_SECONDS,
    SIGNALS,
    TORCHRUN,
    Stopped,
    end_with_parent,
    holding_signals,
    raising_at_signals,
)
from pipeline.training.processes import ALONE, Processes, ProcessLostError, lost_is_an_error


def spread(count: Callable[[], int], work: Callable[..., None], *arguments: Any) -> None:
    """Call `work(*arguments, processes)` on every process that trains.

    Those are what torchrun has started, this one among them; else `count()` new ones of this
    machine, which share its threads and end with this one; and for 1, this one itself.

    Raises:
        UserError: of one of them, or one was ended by a signal. All have ended then.
        SystemExit: one has failed and shown its traceback.
    """
    if _one_of_torchruns():
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
    if _one_of_torchruns():
        raise UserError(
            f"stage {stage} runs in one process: start it without torchrun, as dvc repro does"
        )


def _one_of_torchruns() -> bool:
    return TORCHRUN in os.environ and int(os.environ["WORLD_SIZE"]) > 1


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
    with lost_is_an_error():
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
