"""Training on several processes: real ones, which meet by Gloo."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch import nn

from pipeline.common.errors import UserError
from pipeline.params import LossParams, TrainParams
from pipeline.training.checkpoint import Checkpoints
from pipeline.training.curves import Curves
from pipeline.training.launch import _join, spread
from pipeline.training.processes import ALONE, Processes
from pipeline.training.supervised import SupervisedObjective
from pipeline.training.trainer import Trainer
from tests.processes import ROOT, python, write_params
from tests.training.failing import breaks, complains, drifts, vanishes
from tests.world import World, make_toy

# --- the same as one process

SETTINGS: dict[str, dict[str, Any]] = {
    "contrastive, told, further windows": {
        "tune": "frozen",
        "loss": LossParams(alpha=0.5, lambda_=0.25),
        "embedding_windows": 32,
        "told_share": 0.5,
        "size": 2,
    },
    "cosine and mse, the whole decoder tuned": {
        "tune": "full",
        "loss": LossParams(alpha=0.5, lambda_=0.25, image="mse", align="cosine"),
        "embedding_windows": 10,
        "told_share": 0.0,
        "size": 3,
    },
    "words alone, adapters": {
        "tune": "lora",
        "loss": LossParams(alpha=0, lambda_=0),
        "embedding_windows": 32,
        "told_share": 0.0,
        "size": 2,
    },
}
BATCH_SIZE = 7
"""Of 120 windows: shares are uneven, and the last batch is one window."""


class Noted(SupervisedObjective):
    """Keeps the losses of every step."""

    def __call__(self, batch: Any) -> dict[str, torch.Tensor]:
        losses = super().__call__(batch)
        self.noted.append({name: loss.item() for name, loss in losses.items()})
        return losses


def trained(
    folder: Path, world: World, gpt2: Path, settings: dict[str, Any], processes: Processes
) -> None:
    """Gradients of a batch of one window and of a full one; losses, validation figures and weights
    of an epoch: a file of each process."""
    toy = make_toy(world, gpt2, settings["tune"])
    for module in toy.generator.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    objective = Noted(
        toy.generator,
        settings["loss"],
        toy.train,
        settings["embedding_windows"],
        settings["told_share"],
        processes,
    )
    objective.noted = []
    parameters = toy.generator.trainable()
    gradients = []
    torch.manual_seed(1)
    for rows in sorted(toy.train.shuffled(BATCH_SIZE, 3, 0), key=len)[:2]:
        processes.backward(objective(toy.train.batch(rows))["loss"], parameters.values())
        gradients.append({n: p.grad for n, p in parameters.items()})
        toy.generator.zero_grad(set_to_none=True)
    params = TrainParams(epochs=1, batch_size=BATCH_SIZE, lr=2e-3, warmup_steps=5)
    checkpoints = Checkpoints(folder / "state")
    data = (toy.train, toy.val)
    if processes.first:
        with Curves(folder / "live") as curves:
            Trainer(objective, *data, params, 3, checkpoints, curves).run()
    else:
        Trainer(objective, *data, params, 3, checkpoints, None).run()
    found = {
        "gradients": gradients,
        "losses": objective.noted,
        "validation": objective.validate(toy.val.batches(2)),
        "weights": toy.generator.trainable_state(),
    }
    torch.save(found, folder / f"{processes.rank}.pt")


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_several_train_as_one(world: Any, tiny_gpt2: Path, tmp_path: Path, name: str) -> None:
    settings = SETTINGS[name]
    files = []
    for size in (1, settings["size"]):
        folder = tmp_path / str(size)
        folder.mkdir()
        given = (folder, world, tiny_gpt2, settings)
        spread(lambda size=size: size, trained, *given)
        files.append([torch.load(folder / f"{rank}.pt") for rank in range(size)])
    (one,), (first, *others) = files

    for mine, its in zip(first["gradients"], one["gradients"], strict=True):
        for parameter, gradient in its.items():
            if gradient is None:
                assert mine[parameter] is None
            else:
                assert torch.allclose(mine[parameter], gradient, rtol=1e-3, atol=1e-5), parameter
    assert len(first["losses"]) == 2 + 18
    for mine, its in zip(first["losses"], one["losses"], strict=True):
        assert mine == pytest.approx(its, rel=1e-3)
    assert first["validation"] == pytest.approx(one["validation"], rel=1e-3)
    start = make_toy(world, tiny_gpt2, settings["tune"]).generator.trainable_state()
    for parameter, weight in one["weights"].items():
        moved = (weight - start[parameter]).norm()
        assert (first["weights"][parameter] - weight).norm() <= 0.02 * moved, parameter
    for other in others:
        assert other["losses"] == first["losses"] and other["validation"] == first["validation"]
        for parameter, weight in first["weights"].items():
            assert torch.equal(other["weights"][parameter], weight)


# --- what goes wrong


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "sentence"),
    [
        (drifts, "are not the same any more"),
        (complains, "^the sentence of one$"),
        (vanishes, "process 1 of the 2 that train was ended by SIGKILL"),
    ],
)
def test_an_error_of_one_ends_all_in_its_sentence(
    work: Any, sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=sentence):
        spread(lambda: 2, work)
    assert capfd.readouterr().err == ""
    assert not ranks_of(psutil.Process())


@pytest.mark.slow
def test_a_bug_keeps_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        spread(lambda: 2, breaks)
    assert ended.value.code == 1
    assert "ValueError: a bug of ours" in capfd.readouterr().err


def test_one_process_is_this_one_and_sends_nothing() -> None:
    seen = []
    spread(lambda: 1, lambda processes: seen.append((os.getpid(), processes)))
    assert seen == [(os.getpid(), ALONE)]
    assert not torch.distributed.is_initialized()
    rows = torch.randn(3, 2, requires_grad=True)
    assert ALONE.gather(rows, 3) is rows and ALONE.total(rows) is rows


@pytest.mark.parametrize(("gpus", "fits"), [(1, False), (2, True), (0, True)])
def test_every_process_has_a_gpu_of_its_own_or_none_has(
    gpus: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PyTorch would answer on such machines; what it is asked for then is taken down."""
    asked = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: asked.append(index))
    monkeypatch.setattr(
        torch.distributed, "init_process_group", lambda backend, **how: asked.append(backend)
    )
    if fits:
        _join(None, 1, 2, 1, 2)
        assert asked == ([1, "nccl"] if gpus else ["gloo"])
    else:
        with pytest.raises(UserError, match=r"GPUs for 1: lower train\.processes"):
            _join(None, 1, 2, 1, 2)


# --- the stage

STAGE = """
import os, signal
from pipeline.training.trainer import Trainer

whom, saves = os.environ["KILL"].split()[0], int(os.environ["KILL"].split()[1])
save = Trainer._save

def then_kill(self):
    global saves
    save(self)
    saves -= 1
    if not saves and self.processes.rank == int(whom != "0"):
        os.kill(os.getppid() if whom == "parent" else os.getpid(), signal.SIGKILL)

Trainer._save = then_kill
if __name__ == "__main__":
    from pipeline.common.stage import run_stage
    from stages.train import train
    run_stage(train)
"""
"""Stage train, of which one process is killed right after a number of checkpoints: the first, the
second or their parent. Every process imports it, as it is the main program."""


def ranks_of(parent: psutil.Process) -> list[psutil.Process]:
    return [p for p in parent.children() if "spawn_main" in " ".join(p.cmdline())]


def working_in(folder: Path) -> list[psutil.Process]:
    """Processes whose working folder it is."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder:
                found.append(process)
        except psutil.Error:
            continue
    return found


def arguments(world: World) -> list[str]:
    paths = {name: str(getattr(world, name)) for name in ("frames", "splits", "images", "texts")}
    given = [part for name, path in paths.items() for part in (f"--{name}", path)]
    return [*given, "--out", "model", "--live", "live"]


def params(folder: Path, gpt2: Path, **train: Any) -> None:
    """The shipped params.yaml, shrunk: two processes, three epochs of 15 steps."""
    settings = {"processes": 2, "epochs": 3, "batch_size": 8, "checkpoint_every_steps": 4}
    write_params(
        folder,
        context={"k": 2},
        fusion={"d_model": 32, "layers": 1, "heads": 2, "dropout": 0.3},
        decoder={"model": str(gpt2), "n_prefix": 2},
        prompt={"max_target_tokens": 32, "max_sequence_tokens": 128},
        train=settings | {"embedding_windows": 32} | train,
    )


def results(folder: Path) -> dict[str, bytes]:
    files = [folder / "model" / "model.safetensors", *sorted((folder / "live").rglob("*.tsv"))]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "stages.train")


@pytest.mark.slow
@pytest.mark.thorough
def test_whoever_is_killed_it_goes_on_byte_identical(
    world: Any, tiny_gpt2: Path, tmp_path: Path
) -> None:
    whole, killed, home = tmp_path / "whole", tmp_path / "killed", str(tmp_path / "home")
    params(whole, tiny_gpt2)
    done = python("-m", "stages.train", *arguments(world), cwd=whole, STORYCACHE_HOME=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 1/3") == done.stdout.count("trained 45 steps") == 1
    assert len(results(whole)) == 10

    params(killed, tiny_gpt2)
    program = tmp_path / "stage.py"
    program.write_text(STAGE)
    # Checkpoints are at steps 4, 8, 12, 15, 16, 20, 24, 28, 30 and so on.
    for whom, saves in (("0", 2), ("1", 3), ("parent", 2)):
        command = (str(program), *arguments(world))
        end = python(*command, cwd=killed, STORYCACHE_HOME=home, KILL=f"{whom} {saves}")
        if whom == "parent":
            assert end.returncode == -signal.SIGKILL
        else:
            sentence = f"error: process {whom} of the 2 that train was ended by SIGKILL"
            assert end.returncode == 1
            assert end.stderr.count("error:") == 1 and sentence in end.stderr
        give_up = time.monotonic() + 60
        while working_in(killed):
            assert time.monotonic() < give_up, "processes are left"
            time.sleep(0.1)
        assert not (killed / "model").exists()
    done = python("-m", "stages.train", *arguments(world), cwd=killed, STORYCACHE_HOME=home)
    assert done.returncode == 0, done.stderr
    resumed = " 20/45 " in done.stderr or " 24/45 " in done.stderr  # the second may write no more
    assert resumed and done.stderr.count(" 45/45 ") == 1
    assert results(killed) == results(whole)
    assert not list((tmp_path / "home" / "training").iterdir())


@pytest.mark.slow
@pytest.mark.thorough
def test_torchrun_starts_them_as_well(world: Any, tiny_gpt2: Path, tmp_path: Path) -> None:
    own, its = tmp_path / "own", tmp_path / "its"
    for folder, processes in ((own, 2), (its, 1)):
        params(folder, tiny_gpt2, processes=processes, epochs=1)
    done = python("-m", "stages.train", *arguments(world), cwd=own)
    assert done.returncode == 0, done.stderr
    done = python(*TORCHRUN, *arguments(world), cwd=its)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained 15 steps") == 1
    assert results(own) == results(its)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "wrong", "sentence"),
    [
        (TORCHRUN, {"told_share": 7}, "train.told_share is 7"),
        (TORCHRUN, {"lr": 1e30}, "is not finite"),
        (("-m", "stages.train"), {"lr": 1e30}, "is not finite"),
    ],
)
@pytest.mark.thorough
def test_a_mistake_is_told_once(
    command: Any, wrong: Any, sentence: str, world: Any, tiny_gpt2: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    params(folder, tiny_gpt2, **wrong)
    refused = python(*command, *arguments(world), cwd=folder)
    assert refused.returncode == 1
    assert refused.stderr.count(sentence) == 1, refused.stderr
    assert refused.stderr.count("error: ") == 1
    assert not (folder / "model").exists()


@pytest.mark.slow
@pytest.mark.thorough
def test_a_request_to_stop_ends_all(world: Any, tiny_gpt2: Path, tmp_path: Path) -> None:
    folder, home = tmp_path / "run", tmp_path / "home"
    params(folder, tiny_gpt2, epochs=1000, patience_epochs=1000)
    stage = psutil.Popen(
        [sys.executable, "-m", "stages.train", *arguments(world)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "STORYCACHE_HOME": str(home)},
        stderr=-1,
        text=True,
    )
    while not list(home.rglob("checkpoint.safetensors")):
        assert stage.poll() is None
        time.sleep(0.05)
    ranks = ranks_of(stage)
    assert len(ranks) == 2
    stage.terminate()
    _, errors = stage.communicate()
    assert stage.returncode == 128 + signal.SIGTERM
    assert errors.count("stopped: finished work is kept") == 1 and "Traceback" not in errors
    assert not psutil.wait_procs(ranks, timeout=60)[1]
