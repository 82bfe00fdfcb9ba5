"""Compacting a cache, and being killed over it."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.features import store as store_module
from pipeline.features.cache import EncodeCache
from pipeline.upkeep import compact as compact_module
from pipeline.upkeep.compact import compact
from pipeline.upkeep.inventory import find_encoders
from pipeline.upkeep.verify import verify
from tests.processes import ROOT

FINGERPRINT = "ab" * 32


def filled(home: Path, files: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A cache of so many files; all keys and vectors."""
    random_numbers = np.random.default_rng(0)
    keys = random_numbers.integers(0, 256, (files * rows, 32), np.uint8)
    vectors = random_numbers.normal(size=(files * rows, 4)).astype(np.float16)
    cache = EncodeCache("image", FINGERPRINT, home)
    for start in range(0, len(keys), rows):
        cache.add(keys[start : start + rows], vectors[start : start + rows])
    return keys, vectors


def compacted(home: Path) -> int:
    (encoder,) = find_encoders(home)
    return sum(1 for _ in compact(encoder))


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    keys, vectors = filled(tmp_path, files=30, rows=1000)
    folder = EncodeCache("image", FINGERPRINT, tmp_path).folder
    command = [sys.executable, "-m", "pipeline.cli", "features", "compact", "--home", str(tmp_path)]
    delays = random.Random(0)
    kills = 0
    for _ in range(8):
        before = {path.name for path in folder.iterdir()}
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        while process.poll() is None and {path.name for path in folder.iterdir()} == before:
            time.sleep(0.001)
        time.sleep(delays.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() != 0
        cache = EncodeCache("image", FINGERPRINT, tmp_path)
        np.testing.assert_array_equal(cache.read(keys), vectors)
    assert kills, "it was never killed"
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    cache = EncodeCache("image", FINGERPRINT, tmp_path)
    np.testing.assert_array_equal(cache.read(keys), vectors)
    assert len(cache.files()) < 8
    assert list(verify(find_encoders(tmp_path))) == []


WRITER = """
import sys
from pathlib import Path
import numpy as np
from pipeline.features.cache import EncodeCache

keys, vectors = np.load(sys.argv[1]), np.load(sys.argv[2])
cache = EncodeCache("image", "ab" * 32, Path(sys.argv[3]))
for start in range(0, len(keys), 5):
    cache.add(keys[start : start + 5], vectors[start : start + 5])
    assert (cache.read(keys[: start + 5]) == vectors[: start + 5]).all()
"""


def test_a_run_goes_on_beside_it(tmp_path: Path) -> None:
    keys, vectors = filled(tmp_path / "other", files=100, rows=5)
    np.save(tmp_path / "keys.npy", keys)
    np.save(tmp_path / "vectors.npy", vectors)
    home = tmp_path / "home"
    arguments = [tmp_path / "keys.npy", tmp_path / "vectors.npy", home]
    process = subprocess.Popen([sys.executable, "-c", WRITER, *map(str, arguments)], cwd=ROOT)
    compactions = 0
    while process.poll() is None:
        compactions += sum(sum(1 for _ in compact(each)) for each in find_encoders(home))
    assert process.returncode == 0
    assert compactions > 1
    cache = EncodeCache("image", FINGERPRINT, home)
    np.testing.assert_array_equal(cache.read(keys), vectors)


def test_damaged_files_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys, vectors = filled(tmp_path, files=10, rows=5)
    EncodeCache("image", FINGERPRINT, tmp_path)  # indexes them
    cache = EncodeCache("image", FINGERPRINT, tmp_path)
    (path,) = [cache.folder / name for name in cache.files_of(keys[:5])]
    path.write_bytes(path.read_bytes()[:-1])
    assert compacted(tmp_path) == 1
    assert f"warning: ignoring {path}" in capsys.readouterr().err
    assert len(list(cache.folder.glob("*.h5"))) == 2 and path.exists()
    np.testing.assert_array_equal(cache.read(keys[5:]), vectors[5:])


def test_a_row_of_several_files_is_kept_once(tmp_path: Path) -> None:
    keys, vectors = filled(tmp_path, files=3, rows=5)
    EncodeCache("image", FINGERPRINT, tmp_path).add(keys[3:9], vectors[3:9])
    assert compacted(tmp_path) == 1
    cache = EncodeCache("image", FINGERPRINT, tmp_path)
    assert list(cache.files().values()) == [15]
    np.testing.assert_array_equal(cache.read(keys), vectors)
    assert compacted(tmp_path) == 0


def test_rows_that_a_large_file_holds_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are after a kill between writing the new file and removing the old ones."""
    monkeypatch.setattr(compact_module, "SMALL_ROWS", 10)
    keys, vectors = filled(tmp_path, files=3, rows=5)
    EncodeCache("image", FINGERPRINT, tmp_path).add(keys, vectors)
    assert compacted(tmp_path) == 1
    cache = EncodeCache("image", FINGERPRINT, tmp_path)
    assert list(cache.files().values()) == [15]
    np.testing.assert_array_equal(cache.read(keys), vectors)


def test_a_file_that_holds_what_all_of_them_do_is_not_removed(tmp_path: Path) -> None:
    keys, vectors = filled(tmp_path, files=2, rows=5)
    EncodeCache("image", FINGERPRINT, tmp_path).add(keys, vectors)
    assert compacted(tmp_path) == 1
    cache = EncodeCache("image", FINGERPRINT, tmp_path)
    assert list(cache.files().values()) == [10]
    np.testing.assert_array_equal(cache.read(keys), vectors)


def test_files_are_filled_up_to_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact_module, "SHARD_ROWS", 16)
    monkeypatch.setattr(compact_module, "SMALL_ROWS", 8)
    keys, vectors = filled(tmp_path, files=10, rows=5)
    assert compacted(tmp_path) == 3
    cache = EncodeCache("image", FINGERPRINT, tmp_path)
    assert sorted(cache.files().values()) == [5, 15, 15, 15]
    np.testing.assert_array_equal(cache.read(keys), vectors)
    assert compacted(tmp_path) == 0
    assert store_module.SHARD_ROWS == 8192
