"""`storycache cluster submit`: a stage in parts, each a job of a cluster, by submitit."""

import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml

from pipeline.common.errors import UserError, reason
from pipeline.common.home import storycache_home
from pipeline.common.progress import progress_bar
from pipeline.repository.line import read_line

STAGES = {"image": "embed_image", "text": "embed_text", "captions": "captions"}
"""What is asked for -> the stage of dvc.yaml."""
LOOK_EVERY_SECONDS = 1.0
"""At jobs; how often a scheduler is asked is submitit's affair."""


def command(
    action: Annotated[Literal["submit"], typer.Argument(metavar="submit")],
    what: Annotated[
        Literal["image", "text", "captions"], typer.Argument(metavar="image|text|captions")
    ],
    parts: Annotated[int, typer.Option(min=1, help="Jobs that the work is divided into.")],
    slurm: Annotated[
        bool | None,
        typer.Option(
            "--slurm/--local",
            help="On Slurm, or all at once on this machine; Slurm where there is one.",
        ),
    ] = None,
    partition: Annotated[str | None, typer.Option(help="Of Slurm.")] = None,
    time: Annotated[int, typer.Option(min=1, help="Minutes that a job may take.")] = 1440,
    gpus: Annotated[int | None, typer.Option(min=0, help="Of each job.")] = None,
    set_: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="Any parameter of submitit.")
    ] = [],  # noqa: B006
    wait: Annotated[bool, typer.Option(help="Until all have ended.")] = True,
) -> None:
    """Fill the cache with frames, captions or samples of the baseline, in parts.

    storycache cluster submit --parts 16 --partition gpu --gpus 1 --set cpus_per_task=8 image

    Each job runs the stage's command of dvc.yaml with --part. All of them see this folder and
    STORYCACHE_HOME under the same paths. Afterwards dvc repro finds everything there and publishes
    it. A job that finds its part in the cache ends at once, so to go on, submit the same again.
    """
    settings: dict[str, Any] = {"name": f"storycache-{what}", "timeout_min": time}
    settings |= {"slurm_partition": partition, "gpus_per_node": gpus}
    settings |= dict(_setting(written) for written in set_)
    submitter = _submitter(storycache_home() / "cluster" / what, slurm, settings)
    jobs = _submit(submitter, read_line()[STAGES[what]]["cmd"], parts)
    try:
        first = jobs[0]
        print(f"{parts} jobs, {first.job_id} the first; logs in {first.paths.folder}", flush=True)
        if not wait:
            return
        _watch(jobs, what)
    except KeyboardInterrupt:
        print(
            "the jobs go on without this command; when they have ended, the same command does what "
            "is missing then",
            file=sys.stderr,
        )
        raise
    failed = [(number, job) for number, job in enumerate(jobs, 1) if job.exception()]
    for number, job in failed:
        print(f"part {number}/{parts} failed: {_last_word(job)}", file=sys.stderr)
    if failed:
        raise UserError(
            f"{len(failed)} of {parts} parts failed, as printed above; what is finished is kept: "
            "mend what their logs say, and run the same command again"
        )
    print("all parts are in the cache; dvc repro publishes them")


def _setting(written: str) -> tuple[str, Any]:
    key, equals, value = written.partition("=")
    if not (key and equals):
        raise UserError(f"--set {written}: write it as KEY=VALUE, such as cpus_per_task=8")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        return key, value


def _submitter(folder: Path, slurm: bool | None, settings: dict[str, Any]) -> Any:
    try:
        import submitit
    except ImportError:
        raise UserError(
            "submitit, which talks to the cluster, is not installed: pip install -r "
            "requirements-cluster.txt"
        ) from None
    kind = {None: None, True: "slurm", False: "local"}[slurm]
    try:
        submitter = submitit.AutoExecutor(folder, cluster=kind)
        submitter.update_parameters(**settings)
    except (RuntimeError, NameError, AssertionError, ValueError) as error:
        raise UserError(f"submitit refuses this: {reason(error)}") from None
    return submitter


def _submit(submitter: Any, cmd: str, parts: int) -> list[Any]:
    from submitit.helpers import CommandFunction

    python, *words = shlex.split(cmd)
    if python == "python":  # the one that runs here, whatever a job's PATH says
        python = sys.executable
    run = CommandFunction([python, *words, "--part"], cwd=Path.cwd())
    numbers = [f"{number}/{parts}" for number in range(1, parts + 1)]
    with _ignoring_interrupts():
        jobs: list[Any] = submitter.map_array(run, numbers)
    return jobs


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Within it, processes are started that Ctrl-C in this terminal leaves alone."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _watch(jobs: Sequence[Any], what: str) -> None:
    """Show how many have ended and what the others do, until all have ended."""
    with progress_bar(desc=what, total=len(jobs), unit="part") as bar:
        running = list(jobs)
        while running:
            running = [job for job in running if not job.done()]
            bar.set_postfix(Counter(job.state.lower() for job in running), refresh=False)
            bar.update(len(jobs) - len(running) - bar.n)
            if running:
                time.sleep(LOOK_EVERY_SECONDS)


def _last_word(job: Any) -> str:
    """What a job's stage said at its end, if anything, and where its log is."""
    said = [line for line in (job.stderr() or "").splitlines() if line.startswith("error: ")]
    return f"{said[-1] if said else 'killed, or lost'}; log: {job.paths.stderr}"
