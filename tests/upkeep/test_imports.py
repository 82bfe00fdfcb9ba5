"""What may be imported, and what may not."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.common.errors import UserError
from pipeline.features.cache import EncodeCache
from pipeline.features.store import FeatureStore, publish_shards
from pipeline.upkeep.export import export
from pipeline.upkeep.imports import import_vectors

ATTRIBUTES = {"fingerprint": "cd" * 32, "modality": "text", "dim": 4}


def unit(count: int, dim: int = 4) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(count, dim))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def keys(count: int) -> list[str]:
    return [f"{number:064x}" for number in range(count)]


def imported(folder: Path, rows: np.ndarray, names: list, **attributes: object) -> tuple[int, int]:
    np.save(folder / "v.npy", rows)
    pq.write_table(pa.table({"key": names}), folder / "k.parquet")
    return import_vectors(
        folder / "v.npy", folder / "k.parquet", ATTRIBUTES | attributes, folder / "home"
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_only_what_is_new_is_added(tmp_path: Path, dtype: type) -> None:
    rows = unit(9).astype(dtype)
    assert imported(tmp_path, rows[:5], keys(5)) == (5, 5)
    assert imported(tmp_path, rows, [bytes.fromhex(key) for key in keys(9)]) == (9, 4)
    cache = EncodeCache("text", "cd" * 32, tmp_path / "home")
    names = np.array([[*bytes.fromhex(key)] for key in keys(9)], np.uint8)
    np.testing.assert_array_equal(cache.read(names), rows.astype(np.float16))


@pytest.mark.parametrize(
    ("row", "value"), [(1, [np.nan, 0, 0, 1]), (3, [np.inf, 0, 0, 0]), (4, [0, 0, 0, 0.9])]
)
def test_vectors_that_are_no_unit_vectors(tmp_path: Path, row: int, value: list[float]) -> None:
    rows = unit(5)
    rows[row] = value
    with pytest.raises(UserError, match=rf"v\.npy, row {row}: its norm is"):
        imported(tmp_path, rows, keys(5))
    assert not list((tmp_path / "home").rglob("*.h5"))


def test_keys_that_are_none(tmp_path: Path) -> None:
    for bad in ("ab", "zz" * 32, None):
        with pytest.raises(UserError, match=r"k\.parquet, row 2: the key is no SHA-256"):
            imported(tmp_path, unit(3), [*keys(2), bad])
    with pytest.raises(UserError, match="row 0"):
        imported(tmp_path, unit(3), [1, 2, 3])
    with pytest.raises(UserError, match=f"has the key {keys(2)[1]} more than once"):
        imported(tmp_path, unit(4), [*keys(3), keys(2)[1]])
    with pytest.raises(UserError, match=r"3 keys and .* 4 rows"):
        imported(tmp_path, unit(4), keys(3))


def test_vectors_of_another_width(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is 5 wide, and the encoder's vectors 4"):
        imported(tmp_path, unit(3, 5), keys(3))
    assert imported(tmp_path, unit(3, 4), keys(3), dim=None) == (3, 3)
    with pytest.raises(UserError, match="is 5 wide, and the encoder's vectors 4"):
        imported(tmp_path, unit(3, 5), keys(3), dim=None)


def test_files_that_are_no_vectors(tmp_path: Path) -> None:
    for data in (np.arange(6).reshape(3, 2), np.zeros(3), np.array([{}])):
        with pytest.raises(UserError, match=r"v\.npy"):
            imported(tmp_path, data, keys(3))
    (tmp_path / "v.npy").write_bytes(b"no vectors")
    arguments = (tmp_path / "v.npy", tmp_path / "k.parquet", ATTRIBUTES, tmp_path / "home")
    with pytest.raises(UserError, match=r"is no \.npy file"):
        import_vectors(*arguments)
    (tmp_path / "v.npy").unlink()
    with pytest.raises(UserError, match=r"v\.npy is missing"):
        import_vectors(*arguments)


def test_how_to_get_faiss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.array([[*bytes.fromhex(key)] for key in keys(3)], np.uint8)
    publish_shards(tmp_path / "store", [(rows, unit(3))], {"modality": "text", "fingerprint": "f"})
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match="pip install faiss-cpu"):
        export(FeatureStore.open(tmp_path / "store"), "faiss", tmp_path / "out")
    assert not (tmp_path / "out").exists()
