"""`python -m benchmarks.index`: what an encode cache of millions of rows lacks of one dataset.

Keys are drawn, as are the vectors, of which there are few numbers each: they are not read here. The
cache is one of chunks as embedding leaves them, 256 to 1024 rows, and then the same compacted to
files of `SHARD_ROWS`. Looked up are the keys of a dataset half of which are there, each time by a
process of its own that has opened nothing before. The baseline reads the keys of every chunk.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.ratio import Ratio, write_ratios
from benchmarks.stage_runs import ROOT
from pipeline.common.chunks import chunk_name
from pipeline.common.keys import KeyIndex, Keys
from pipeline.features.cache import EncodeCache
from pipeline.features.store import SHARD_ROWS, Shard, write_shard

ROWS, WANTED, DIM = 5_000_000, 52_000, 8
SMALLEST, LARGEST = 256, 1024
"""Rows of a chunk: 8 batches of 32 images, 32 of captions."""
ROUNDS = 3
GOAL_SECONDS, GOAL_MB = 2.0, 200.0
FINGERPRINT = "1d" * 32
WANTED_FILE = "wanted.npy"
MODALITY = "image"


def main() -> None:
    """Draw the caches, measure, and write the ratios; or, with --look-up, be the measured one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--look-up", choices=("ours", "every key", "nothing"))
    parser.add_argument("--home", type=Path)
    arguments = parser.parse_args()
    if arguments.look_up:
        print(json.dumps(_measured(arguments.look_up, arguments.home)))
        return
    ratios: list[Ratio] = []
    with tempfile.TemporaryDirectory(prefix="index-") as name:
        for kind in ("as embedded", "compacted"):
            home = Path(name) / kind
            _draw(home, arguments.rows, compacted=kind == "compacted")
            np.save(home / WANTED_FILE, _wanted(arguments.rows))
            ratios += _compare(home, kind, arguments.rows)
    for ratio in ratios:
        print(ratio, ratio.figures)
    if arguments.out:
        write_ratios(arguments.out, ratios)


def _draw(home: Path, rows: int, compacted: bool) -> None:
    """A cache of so many rows, without an index."""
    folder = EncodeCache(MODALITY, FINGERPRINT, home).folder
    attributes = {"fingerprint": FINGERPRINT, "modality": MODALITY}
    sizes = np.random.default_rng(1)
    start = 0
    while start < rows:
        size = SHARD_ROWS if compacted else int(sizes.integers(SMALLEST, LARGEST + 1))
        keys = _keys(start, min(start + size, rows))
        vectors = np.full((len(keys), DIM), DIM**-0.5)
        write_shard(folder / chunk_name(keys), keys, vectors, attributes)
        start += size


def _keys(start: int, stop: int) -> Keys:
    """Uniform, as digests are: of a row the same whatever else is drawn."""
    blocks = range(start // 256, -(-stop // 256))
    drawn = [np.random.default_rng([2, b]).integers(0, 256, (256, 32), np.uint8) for b in blocks]
    return np.concatenate(drawn)[start - blocks[0] * 256 :][: stop - start]


def _wanted(rows: int) -> Keys:
    """Half from all over the cache, half that are not there."""
    chosen = np.random.default_rng(3).choice(rows, WANTED // 2, replace=False)
    there = [_keys(row, row + 1) for row in chosen.tolist()]
    return np.concatenate([*there, _keys(2 * rows, 2 * rows + WANTED // 2)])


def _compare(home: Path, kind: str, rows: int) -> Iterator[Ratio]:
    first, *every, baseline, nothing = (
        _in_process(what, home) for what in ("ours", *["ours"] * ROUNDS, "every key", "nothing")
    )
    ours = {name: statistics.median(one[name] for one in every) for name in first}
    figures = {
        "first look-up, which makes the index, s": first["seconds"],
        "first look-up, memory, MB": first["mb"] - nothing["mb"],
        "ours, s": ours["seconds"],
        "every key, s": baseline["seconds"],
        "every key, memory, MB": baseline["mb"] - nothing["mb"],
    }
    what = f"{WANTED} keys in a cache of {rows} rows, {kind}"
    yield Ratio(what, ours["seconds"], GOAL_SECONDS, False, "s", figures)
    yield Ratio(f"memory of {what}", ours["mb"] - nothing["mb"], GOAL_MB, False, "MB")
    speedup = baseline["seconds"] / ours["seconds"]
    yield Ratio(f"every chunk's keys against the index, {kind}", speedup, 5)


def _in_process(what: str, home: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.index", "--look-up", what]
    done = subprocess.run(
        [*command, "--home", str(home)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _measured(what: str, home: Path) -> dict[str, float]:
    """Seconds and peak memory of one look-up in this process."""
    wanted = np.load(home / WANTED_FILE)
    folder = home / "embeddings" / f"{MODALITY}-{FINGERPRINT[:16]}"
    started = time.perf_counter()
    if what == "ours":
        there = EncodeCache(MODALITY, FINGERPRINT, home).contains(wanted)
    elif what == "every key":
        chunks = [Shard.open(path).keys for path in sorted(folder.glob("*.h5"))]
        there = KeyIndex(*chunks).find(wanted) >= 0
    seconds = time.perf_counter() - started
    if what != "nothing" and (there.sum() != WANTED // 2 or not there[: WANTED // 2].all()):
        raise AssertionError(f"{there.sum()} keys were found, not the {WANTED // 2} that are there")
    return {"seconds": seconds, "mb": _peak_mb()}


def _peak_mb() -> float:
    """Peak memory of this process; the system's usual figure counts its parent's at its start."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # no Linux
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    (kib,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(kib) * 1024 / 1e6


if __name__ == "__main__":
    main()
