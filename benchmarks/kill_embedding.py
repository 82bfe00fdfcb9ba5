"""`python -m benchmarks.kill_embedding`: embedding, killed at random, ends with the same bytes.

Frames are drawn and embedded once in peace. Then each way is killed (SIGKILL) at random moments and
started again, until it has been killed so often: one process (`plain`); two parts at once of any
number of parts, of which one is killed (`parts`); Ray on this machine, of which workers at work are
killed, and now and then the process that commands them (`ray`). When a way has come to its end, the
published shards must be those of the first run, and it starts anew with an empty cache. Linux.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML

from benchmarks.stage_runs import ROOT
from pipeline.common.errors import UserError, exit_cleanly
from pipeline.params.recipes import merged
from pipeline.params.yaml import read_yaml

STAGE = "image --raw raw --frames frames.parquet --out out".split()
AT_WORK = "ray::Worker.encode"
"""Title of a worker's process of Ray while it encodes."""
LONGEST_WAIT_SECONDS = 600.0


class Frames:
    """A folder with drawn frames, and the stage that embeds them."""

    def __init__(self, folder: Path, stories: int) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.set(dataset={"sample": {"stories": stories}})
        if not (folder / "frames.parquet").exists():
            rest = "--annotations a.parquet --summary s.json --quarantine q.jsonl --plots plots"
            self.python("stages.download", "--out", "raw").wait()
            prepare = f"--raw raw --frames frames.parquet {rest}".split()
            self.python("stages.prepare", *prepare).wait()

    def set(self, **groups: dict[str, Any]) -> None:
        """Write the shipped params.yaml with these changes."""
        clip = {"model": str(ROOT / "data/sample/clip"), "batch_size": 4}
        params = merged(read_yaml(ROOT / "params.yaml"), {"clip": clip, **groups})
        with (self.folder / "params.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(params, file)

    def python(self, *words: str) -> "subprocess.Popen[bytes]":
        """Start a module as the leader of a session of its own."""
        with (self.folder / "log").open("ab") as log:
            own = {"PYTHONPATH": str(ROOT), "STORYCACHE_HOME": str(self.home)}
            return subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=self.folder,
                env=os.environ | {"OMP_NUM_THREADS": "1"} | own,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def shards(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((self.folder / "out").iterdir())}

    def empty(self) -> None:
        """Forget all that was embedded."""
        for name in ("home", "out"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def kept(self) -> int:
        """Chunks that are in the encode cache."""
        return sum(not path.name.startswith(".") for path in self.home.rglob("*.h5"))


def embed(frames: Frames) -> bool:
    """Run the stage to its end. Returns whether it was killed. Raises UserError if it failed."""
    return _ended(frames, frames.python("stages.embed", *STAGE))


def plain(frames: Frames, chance: random.Random) -> int:
    """Start the stage and kill it at a random moment; how often it was killed."""
    process = frames.python("stages.embed", *STAGE)
    if not _moment(frames, chance, process):
        process.kill()
    return _ended(frames, process)


def parts(frames: Frames, chance: random.Random) -> int:
    """Two random parts at once, of which one is killed; if it ended before, the stage itself."""
    count = chance.choice((1, 2, 3, 5, 16))
    chosen = [f"{chance.randint(1, count)}/{count}" for _ in range(2)]
    both = [frames.python("stages.embed", *STAGE, "--part", part) for part in chosen]
    if not _moment(frames, chance, both[0]):
        both[0].kill()
    first, _ = (_ended(frames, process) for process in both)
    return first or embed(frames)


def ray(frames: Frames, chance: random.Random) -> int:
    """One run on Ray, of which workers at work are killed, or the process that commands them."""
    process, killed = frames.python("stages.embed", *STAGE), 0
    while not _moment(frames, chance, process):
        found = [p for p in psutil.Process(process.pid).children(recursive=True) if _at_work(p)]
        if found:
            commands = chance.random() < 0.1
            victim = psutil.Process(process.pid) if commands else chance.choice(found)
            victim.kill()
            killed += 1
            name = "the command" if commands else "a worker"
            print(f"{name} killed with {frames.kept()} chunks kept", flush=True)
    _ended(frames, process)
    return killed


def _at_work(process: psutil.Process) -> bool:
    try:
        return AT_WORK in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _moment(frames: Frames, chance: random.Random, process: "subprocess.Popen[bytes]") -> bool:
    """Wait for a random moment: soon after the start, or when some more chunks are kept.

    Returns:
        Whether the process ended before it.
    """
    more, before = chance.randint(0, 6), frames.kept()
    give_up = time.monotonic() + LONGEST_WAIT_SECONDS
    while process.poll() is None and frames.kept() < before + more:
        if time.monotonic() > give_up:
            raise UserError(f"nothing happens; see {frames.folder / 'log'}")
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.5) if more else chance.uniform(0, 5))
    return process.poll() is not None


def _ended(frames: Frames, process: "subprocess.Popen[bytes]") -> bool:
    status = process.wait()
    if status > 0:
        raise UserError(f"it failed by itself; see {frames.folder / 'log'}")
    return status < 0


WAYS: dict[str, Callable[[Frames, random.Random], int]] = {
    "plain": plain,
    "parts": parts,
    "ray": ray,
}


def run_kills(frames: Frames, way: str, kills: int, chance: random.Random) -> None:
    """Kill one way so often. Raises UserError if the bytes at an end are others."""
    frames.empty()
    embed(frames)
    expected = frames.shards()
    frames.set(embed={"engine": "ray" if way == "ray" else "local"})
    frames.empty()
    killed = ends = 0
    while killed < kills:
        killed += WAYS[way](frames, chance)
        print(f"{way}: killed {killed} times, {frames.kept()} chunks kept", flush=True)
        if (frames.folder / "out/00000.h5").exists():
            ends += _compare(frames, expected)
    frames.set()
    embed(frames)
    ends += _compare(frames, expected)
    print(f"{way}: {killed} kills, {ends} ends, each with the bytes of one run in peace")


def _compare(frames: Frames, expected: dict[str, bytes]) -> int:
    if frames.shards() != expected:
        raise UserError(f"other than in peace: {frames.folder / 'out'}")
    frames.empty()
    return 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ways", nargs="*", choices=WAYS, default=[*WAYS])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--stories", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="kept, and used again if it has frames")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="kill-embedding-"))
    frames = Frames(folder.absolute(), arguments.stories)
    for way in arguments.ways:
        run_kills(frames, way, arguments.kills, random.Random(arguments.seed))
    if arguments.folder is None:
        shutil.rmtree(folder)  # which stays after a failure, to be looked at


if __name__ == "__main__":
    exit_cleanly(main)
