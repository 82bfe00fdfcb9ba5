"""Checkpoints from which a killed run goes on as if nothing had happened.

They are kept outside the stage's outputs, which DVC deletes before the stage runs, in
`$STORYCACHE_HOME/training/<key of the run>`: safetensors with JSON in their header, replaced
atomically, nothing pickled. Runs of one key at one time have a folder each (`claim_folder`). The
best epoch's weights are a file of their own, written only when they change. A run that is killed
and never taken up again leaves its folder behind; it may be deleted at any time.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor, nn

from pipeline.common.errors import UserError
from pipeline.common.home import in_home, storycache_home
from pipeline.common.locks import claim_folder
from pipeline.common.tensors import load_tensors, save_tensors
from pipeline.compute.device import pick_device
from pipeline.dataset.story_dataset import Stories
from pipeline.training.optimiser import load_optimiser_state, optimiser_state
from pipeline.training.processes import ALONE, Processes

CHECKPOINT_FILE = "checkpoint.safetensors"
ANEW = "the run starts anew"
"""What follows where a checkpoint is lost."""
PIPELINE = Path(__file__).resolve().parents[1]
TRAINING_CODE = tuple(PIPELINE / room for room in ("compute", "dataset", "model", "training"))
"""The rooms that decide how training goes, for `run_key`: other code takes up no checkpoint."""


@dataclass
class Progress:
    """Where a run is: everything about it that is not a tensor."""

    step: int = 0
    """Optimiser steps done."""
    epoch: int = 0
    """Epoch under way, from 0."""
    position: int = 0
    """Batches of that epoch done."""
    best_epoch: int | None = None
    """Epoch whose weights are kept; -1 for those of a warm start."""
    best_value: float | None = None
    start_value: float | None = None
    """The criterion before the first step, of a warm start."""
    epochs_since_best: int = 0
    finished: bool = False
    history: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    """What was logged: (step, named figures)."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums of the training losses since they were last logged."""
    summed_steps: int = 0


class Checkpoints:
    """The checkpoint and the best weights of one run."""

    def __init__(self, folder: Path):
        self.folder = folder

    def save(
        self,
        progress: Progress,
        parameters: dict[str, nn.Parameter],
        optimiser: torch.optim.Optimizer,
        objective: dict[str, Tensor],
    ) -> None:
        """Replace the checkpoint by the present state, random generators included.

        `objective` is what the objective itself has to remember, by name.
        """
        tensors: dict[str, Tensor] = {f"weight/{n}": p for n, p in parameters.items()}
        tensors |= optimiser_state(optimiser, parameters)
        tensors |= {f"objective/{n}": t for n, t in objective.items()}
        tensors["random/cpu"] = torch.get_rng_state()
        for name, accelerator in _accelerator().items():
            tensors[name] = accelerator.get_rng_state()
        with in_home():
            save_tensors(self.folder / CHECKPOINT_FILE, tensors, asdict(progress))

    def restore(
        self, parameters: dict[str, nn.Parameter], optimiser: torch.optim.Optimizer
    ) -> tuple[Progress, dict[str, Tensor]] | None:
        """Put the saved state back; say where it was and what the objective remembers.

        None where nothing was saved, or what was is damaged, which is told on stderr.
        """
        path = self.folder / CHECKPOINT_FILE
        if not os.path.exists(path):
            return None
        try:
            tensors, header = load_tensors(path, ANEW)
            progress = Progress(**header)
            if progress.best_epoch is not None:
                self.load_best(progress.best_epoch)
        except UserError as error:
            print(f"warning: {error}", file=sys.stderr)
            return None
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(tensors[f"weight/{name}"])
        load_optimiser_state(optimiser, parameters, tensors)
        torch.set_rng_state(tensors["random/cpu"].clone())
        for name, accelerator in _accelerator().items():
            if name in tensors:
                accelerator.set_rng_state(tensors[name].clone())
        progress.history = [(step, figures) for step, figures in progress.history]
        # Cloned, as the optimiser's state is, into memory of torch's own.
        objective = {
            name.removeprefix("objective/"): tensor.clone()
            for name, tensor in tensors.items()
            if name.startswith("objective/")
        }
        return progress, objective

    def save_best(self, epoch: int, weights: dict[str, Tensor]) -> None:
        """Keep the weights of an epoch that was the best; older ones go with `drop_old_best`."""
        with in_home():
            save_tensors(self._best(epoch), weights, None)

    def load_best(self, epoch: int) -> dict[str, Tensor]:
        """The weights that `save_best` kept. Raises UserError if they are gone or damaged."""
        return load_tensors(self._best(epoch), ANEW)[0]

    def drop_old_best(self, epoch: int) -> None:
        """Remove the best weights of epochs other than `epoch`, once a checkpoint names that."""
        for path in self.folder.glob("best-*.safetensors"):
            if path != self._best(epoch):
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove everything: the run has succeeded."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _best(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch}.safetensors"


def claim_checkpoints(
    settings: dict[str, Any],
    stories: Stories,
    fingerprint: str,
    code: Sequence[Path],
    processes: Processes = ALONE,
) -> Checkpoints:
    """The checkpoints of a run on these stories, its own until this process ends.

    Args:
        settings: what decides how it goes besides the stories and this machine.
        fingerprint: of what is trained, as it is before.
        code: as of `run_key`.
        processes: those that train, of which the first one claims them for all.
    """
    settings = settings | {
        "features": [stories.images.fingerprint, stories.texts.fingerprint],
        "stories": {part: stories.splits[part] for part in ("train", "val")},
        "threads": torch.get_num_threads(),
        "device": str(pick_device()),
        "processes": processes.size,
    }
    key = run_key(settings, [_table_bytes(stories.frames), fingerprint.encode()], code)
    folder = storycache_home() / "training" / key
    return Checkpoints(processes.from_first(lambda: claim_folder(folder)))


def run_key(settings: dict[str, Any], content: Iterable[bytes], code: Iterable[Path]) -> str:
    """Name of a run: equal only if it would go the same way from the start.

    Args:
        settings: parameters, fingerprints, story ids: anything that JSON can say.
        content: digests of the data that is trained on.
        code: what decides how training goes: modules, and folders of modules.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(torch.__version__.encode())
    for part in content:
        digest.update(hashlib.sha256(part).digest())
    modules = {path for place in code for path in (place, *place.rglob("*.py")) if path.is_file()}
    for path in sorted(modules):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def _accelerator() -> dict[str, Any]:
    """What keeps the random state of the device in use, if it is not the CPU, by its name here."""
    known = {"cuda": torch.cuda, "mps": torch.mps}
    return {f"random/{name}": of for name, of in known.items() if name == pick_device().type}


def _table_bytes(table: pa.Table) -> bytes:
    """A table as bytes, the same for the same content."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    data: bytes = sink.getvalue().to_pybytes()
    return data
