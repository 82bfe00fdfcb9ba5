"""Embedding on Ray: workers on any number of machines bring the encode cache up to date.

A worker is an actor with a GPU, or with some cores, that loads the frozen CLIP once. It is given
parts of a job, one after another, and keeps each chunk as soon as that is finished: whoever gets
the part of a lost one finds there what it had done. All see the same files under the same paths.

Plain actors, not Ray Data: nothing flows but numbers of parts, chunks stay where they are cut, no
task besides needs a core that an actor holds, and a part never waits for one actor's return.
"""

import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.common.errors import UserError, reason
from pipeline.common.home import storycache_home
from pipeline.common.parts import Part
from pipeline.common.progress import progress_bar
from pipeline.features.jobs import EmbeddingJob

CORES = 4
"""Of a worker without a GPU, unless OMP_NUM_THREADS says how many threads a process has."""
PARTS_PER_WORKER = 16
"""So that at the end no worker waits long for another."""
LOSSES_PER_WORKER = 5
"""In a row, without a part being finished: what kills workers is then no accident."""
OBJECT_STORE_BYTES = 2**27
"""Shared memory of a Ray that is started here: it holds one job, 40 bytes a row."""
HANDED_ON = ("ATEN_", "CUBLAS_", "GOMP_", "HF_", "LRU_", "MKL_", "OMP_", "ONEDNN_", "TRANSFORMERS_")
"""Beginnings of the variables that a worker shall have as this process has them."""


class Worker:
    """What an actor does."""

    def __init__(self, job: EmbeddingJob, folder: str) -> None:
        self.job, self.folder = job, folder  # what can fail does so below, where it can be told

    def ready(self) -> int:
        """Go where relative paths start, and open the cache: no row is encoded by that."""
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise UserError(
                f"Ray's worker on {socket.gethostname()} cannot enter {self.folder} "
                f"({reason(error)}): all machines must share a file system, see docs/scale.md"
            ) from None
        self.cache = self.job.cache()
        return 0

    def encode(self, part: Part, anew: bool) -> int:
        """Encode a part, and say how many rows that were; `anew` if another worker began it."""
        if anew:
            self.cache = self.job.cache()
        return self.job.update(self.cache, lambda rows: None, part).encoded


def encode_on_ray(job: EmbeddingJob) -> str:
    """Encode and keep what the encode cache lacks, and say in a few words how that went.

    Uses the Ray at RAY_ADDRESS; without one it starts Ray on this machine.

    Raises:
        UserError: Ray is not there, workers are lost again and again, or one says what is wrong.
    """
    missing = len(job.keys) - int(job.cache().contains(job.keys).sum())
    if not missing:
        return ""
    try:
        import ray
        from ray.exceptions import RayError, RayTaskError
    except ImportError:
        raise UserError(
            "embed.engine is ray, but Ray is not installed: pip install -r requirements-ray.txt, "
            "or set embed.engine to local"
        ) from None
    started = time.perf_counter()
    with _connected(ray):
        count, resources = _workers(ray)
        environment = _environment(resources)
        actor = ray.remote(Worker).options(runtime_env={"env_vars": environment}, **resources)
        shared, folder = ray.put(job), os.getcwd()
        parts = PARTS_PER_WORKER * count
        waiting = deque((Part(f"{number}/{parts}"), False) for number in range(1, parts + 1))
        running: dict[Any, tuple[Any, Part | None]] = {}
        idle: list[Any] = []
        encoded = losses = 0

        def hire() -> None:
            worker = actor.remote(shared, folder)
            running[worker.ready.remote()] = (worker, None)

        for _ in range(count):
            hire()
        with progress_bar(total=missing, unit=job.unit) as bar:
            while waiting or any(part for _, part in running.values()):
                (answer,), _ = ray.wait([*running], num_returns=1)
                worker, part = running.pop(answer)
                try:
                    rows = ray.get(answer)
                except RayTaskError as error:  # it did not end, it raised
                    if isinstance(error.cause, UserError):
                        raise error.cause from None
                    raise
                except RayError as error:
                    losses += 1
                    if losses > LOSSES_PER_WORKER * count:
                        raise UserError(
                            f"workers of Ray are lost again and again ({reason(error)}): look into "
                            "Ray's logs on their machines, by default in /tmp/ray, and run it again"
                        ) from None
                    print(f"a worker of Ray is lost: {reason(error)}", file=sys.stderr)
                    if part is not None:
                        waiting.appendleft((part, True))
                    hire()
                else:
                    idle.append(worker)
                    encoded += rows
                    losses = 0 if part else losses
                    bar.update(rows)
                while idle and waiting:
                    worker, (part, anew) = idle.pop(), waiting.popleft()
                    running[worker.encode.remote(part, anew)] = (worker, part)
    seconds = time.perf_counter() - started
    return f"; before that {encoded} encoded by {count} workers of Ray in {seconds:.1f} s"


@contextmanager
def _connected(ray: Any) -> Iterator[None]:
    """Within it Ray is there, and this process answers signals as it did before."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address, here = os.environ.get("RAY_ADDRESS"), {}
    if not address:
        here = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address or "local", log_to_driver=False, logging_level="WARNING", **here)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"there is no Ray to be had at {address or 'this machine'} ({reason(error)}): set "
            "RAY_ADDRESS to where a cluster is, or embed.engine to local"
        ) from None
    try:
        signal.signal(signal.SIGTERM, handler)
        yield
    finally:
        ray.shutdown()


def _workers(ray: Any) -> tuple[int, dict[str, int]]:
    """How many workers the cluster has room for, and what each of them takes."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if gpus:
        return gpus, {"num_gpus": 1, "num_cpus": 1}
    cores = [int(node["CPU"]) for node in nodes if node.get("CPU")] or [1]
    each = min(int(os.environ.get("OMP_NUM_THREADS", CORES)), *cores)
    return sum(count // each for count in cores), {"num_cpus": each}


def _environment(resources: dict[str, int]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)}
    own["STORYCACHE_HOME"] = str(storycache_home())
    own["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if os.path.isdir(path))
    if "num_gpus" not in resources:
        own["OMP_NUM_THREADS"] = str(resources["num_cpus"])
    return own
