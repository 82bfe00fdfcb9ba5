"""HDF5 in memory: the very bytes that the library writes to a disk, and seals that hold."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings

from pipeline.common.files import UnreadableError
from pipeline.common.hdf5 import SEAL_BYTES, open_sealed, sealed_bytes
from tests.damage import damaged

TEXTS = np.array(["", "Caption, “quoted”", "ünïcode" * 40], dtype=object)


@pytest.mark.parametrize("attributes", [0, 3, 8, 9, 12, 40])
@pytest.mark.parametrize("rows", [0, 1, 3000])
def test_the_same_bytes_as_the_librarys_own_file(
    tmp_path: Path, rows: int, attributes: int
) -> None:
    """More than eight attributes are kept in another way, which takes its space back at closing."""
    values = {
        "key": np.arange(rows * 32, dtype=np.uint8).reshape(rows, 32),
        "embedding": np.linspace(-1, 1, rows * 24).astype(np.float16).reshape(rows, 24),
    }
    named = {f"name {i}": "x" * i if i % 2 else i for i in range(attributes)}
    path = tmp_path / "file.h5"
    with h5py.File(path, "w", libver=("v110", "v110"), userblock_size=SEAL_BYTES) as file:
        for name, array in values.items():
            file.create_dataset(name, data=array, track_times=False)
        file.attrs.update(named)
    assert sealed_bytes(values, named)[SEAL_BYTES:] == path.read_bytes()[SEAL_BYTES:]


def test_a_sealed_file_is_one_that_any_reader_opens(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    path.write_bytes(sealed_bytes({"text": TEXTS}, {"version": 2}))
    with h5py.File(path) as file:
        assert file["text"].asstr()[()].tolist() == TEXTS.tolist()
        assert file.attrs["version"] == 2 and file.userblock_size == 512
    assert path.read_bytes().startswith(b"sha256 ")


WHOLE = sealed_bytes({"text": TEXTS, "n": np.arange(5)}, {"version": 2})


@settings(max_examples=300)
@given(damaged(WHOLE))
def test_damage_is_found_before_the_library_sees_it(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "damaged.h5"
    path.write_bytes(data)
    if data != WHOLE:
        with pytest.raises(UnreadableError), open_sealed(path):
            pass
