import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.common.errors import UserError
from pipeline.features.cache import EncodeCache

FINGERPRINT = "ab" * 32


def rows(first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    digests = [hashlib.sha256(str(i).encode()).digest() for i in range(first, last)]
    vectors = np.arange(first, last, dtype=np.float16)[:, None] + np.zeros((1, 4), np.float16)
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32), vectors


def filled(fingerprint: str = FINGERPRINT) -> EncodeCache:
    cache = EncodeCache("image", fingerprint)
    cache.add(*rows(0, 5))
    cache.add(*rows(5, 9))
    return cache


def test_kept_rows_are_read_in_any_order() -> None:
    keys, vectors = rows(0, 9)
    order = [8, 0, 4, 5, 0]
    np.testing.assert_array_equal(filled().read(keys[order]), vectors[order])
    assert filled().contains(rows(7, 12)[0]).tolist() == [True, True, False, False, False]


def test_an_unknown_key_is_not_read() -> None:
    with pytest.raises(UserError, match="run it again"):
        filled().read(rows(8, 10)[0])


def test_another_encoder_sees_nothing() -> None:
    cache = filled()
    for other in (EncodeCache("image", "cd" * 32), EncodeCache("text", FINGERPRINT)):
        assert not other.contains(rows(0, 9)[0]).any()
    # Equal in the 16 letters that name the folder, and still another encoder.
    twin = EncodeCache("image", FINGERPRINT[:16] + "0" * 48)
    assert twin.folder == cache.folder
    assert not twin.contains(rows(0, 9)[0]).any()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_file_is_ignored_and_can_be_written_again(
    damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = filled()
    path = next(p for p in cache.folder.glob("*.h5") if len(cache.open_chunk(p)[0]) == 5)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        place = data.find(rows(0, 5)[1].tobytes())
        assert place > 0
        data[place + 3] ^= 1
    path.write_bytes({"cut": data[: len(data) // 2], "flip": data, "empty": b""}[damage])
    with pytest.raises(UserError, match="changed under this run"):
        cache.read(rows(0, 9)[0])
    cache = EncodeCache("image", FINGERPRINT)
    assert f"warning: ignoring {path}" in capsys.readouterr().err
    assert cache.contains(rows(0, 9)[0]).tolist() == [False] * 5 + [True] * 4
    cache.add(*rows(0, 5))
    assert cache.contains(rows(0, 9)[0]).all()
    np.testing.assert_array_equal(cache.read(rows(0, 9)[0]), rows(0, 9)[1])


def test_an_unfinished_file_is_not_seen() -> None:
    cache = filled()
    (cache.folder / ".x.h5.123.partial").write_bytes(b"half")
    assert EncodeCache("image", FINGERPRINT).contains(rows(0, 9)[0]).all()


def test_several_processes_may_write_the_same_rows(tmp_path: Path) -> None:
    """And index them: each opens the cache anew for every chunk."""
    code = (
        "import hashlib, numpy as np\n"
        "from pipeline.features.cache import EncodeCache\n"
        "for start in range(0, 200, 10):\n"
        f"    cache = EncodeCache('image', {FINGERPRINT!r})\n"
        "    numbers = range(start, start + 10)\n"
        "    digests = [hashlib.sha256(str(i).encode()).digest() for i in numbers]\n"
        "    keys = np.frombuffer(b''.join(digests), np.uint8).reshape(-1, 32)\n"
        "    vectors = np.arange(start, start + 10)[:, None] + np.zeros((1, 4))\n"
        "    cache.add(keys, vectors)\n"
        "    cache.read(keys)\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    cache = EncodeCache("image", FINGERPRINT)
    np.testing.assert_array_equal(cache.read(rows(0, 200)[0]), rows(0, 200)[1])
    assert len(list(cache.folder.glob("*.h5"))) == 20


def test_a_cache_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="STORYCACHE_HOME"):
        EncodeCache("image", FINGERPRINT, home=tmp_path / "file").add(*rows(0, 2))
