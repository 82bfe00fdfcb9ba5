import hashlib
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.common.files import UnreadableError
from pipeline.features.store import (
    BLOCK_ROWS,
    FeatureStore,
    Shard,
    key_array,
    publish_shards,
    write_shard,
)
from tests.damage import damaged

ATTRIBUTES = {"modality": "text", "model": "m", "revision": "", "fingerprint": "f" * 64}


def rows(first: int, last: int, dim: int = 8) -> tuple[np.ndarray, np.ndarray]:
    digests = [hashlib.sha256(str(i).encode()).digest() for i in range(first, last)]
    vectors = np.random.default_rng(first).normal(size=(last - first, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32), vectors.astype(np.float32)


@given(
    st.lists(st.lists(st.binary(min_size=32, max_size=32), max_size=5), max_size=4),
    st.integers(0, 6),
    st.integers(0, 6),
)
def test_keys_of_a_column_are_those_of_its_values(
    parts: list[list[bytes]], start: int, length: int
) -> None:
    column = pa.chunked_array([pa.array(part, pa.binary(32)) for part in parts], pa.binary(32))
    for taken in (column, column.slice(start, length), column.slice(start).combine_chunks()):
        assert [key.tobytes() for key in key_array(taken)] == taken.to_pylist()
    with pytest.raises(ValueError, match="1 of 2 keys are missing"):
        key_array(pa.array([None, bytes(32)], pa.binary(32)))


def test_what_is_published_is_found_again(tmp_path: Path) -> None:
    parts = [rows(0, 5), rows(5, 9)]
    publish_shards(tmp_path, parts, ATTRIBUTES)
    store = FeatureStore.open(tmp_path)
    assert (len(store), store.dim) == (9, 8)
    assert store.fingerprint == "f" * 64 and store.attributes["modality"] == "text"
    keys = np.concatenate([k for k, _ in parts])
    vectors = np.concatenate([v for _, v in parts])
    wanted = [7, 0, 7, 8, 3]
    found = store.lookup(keys[wanted])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, vectors[wanted].astype(np.float16))
    np.testing.assert_array_equal(store.lookup([keys[i].tobytes() for i in wanted]), found)
    assert store.lookup([]).shape == (0, 8)


def test_format_of_a_shard(tmp_path: Path) -> None:
    publish_shards(tmp_path, [rows(0, 1000, dim=512)], ATTRIBUTES)
    path = tmp_path / "00000.h5"
    with h5py.File(path) as file:
        assert file["key"].shape == (1000, 32) and file["key"].dtype == np.uint8
        assert file["embedding"].shape == (1000, 512) and file["embedding"].dtype == np.float16
        assert file["embedding"].chunks is None and file["key"].chunks is None
        assert (file.attrs["format_version"], file.attrs["dim"]) == (2, 512)
        assert file.attrs["dtype"] == "float16"
    assert path.stat().st_size < 1.1 * 2 * 1000 * 512


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_shard(tmp_path / f"{name}.h5", *rows(0, 50), ATTRIBUTES)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_shards_of_an_older_run_are_removed(tmp_path: Path) -> None:
    publish_shards(tmp_path, [rows(0, 5), rows(5, 9), rows(9, 12)], ATTRIBUTES)
    publish_shards(tmp_path, [rows(0, 4)], ATTRIBUTES)
    assert [path.name for path in tmp_path.iterdir()] == ["00000.h5"]
    assert len(FeatureStore.open(tmp_path)) == 4


def test_missing_keys_are_counted(tmp_path: Path) -> None:
    publish_shards(tmp_path, [rows(0, 5)], ATTRIBUTES)
    with pytest.raises(UserError, match="2 of 3 keys"):
        FeatureStore.open(tmp_path).lookup(rows(4, 7)[0])


def test_some_rows_of_a_shard_in_any_order(tmp_path: Path) -> None:
    """More rows than are read at a time, wanted from every block, some twice."""
    last = 2 * BLOCK_ROWS + 4
    keys, vectors = rows(0, last + 1)
    path = tmp_path / "00000.h5"
    write_shard(path, keys, vectors, ATTRIBUTES)
    wanted = np.array([last, 0, BLOCK_ROWS, BLOCK_ROWS - 1, 0, 2 * BLOCK_ROWS])
    shard = Shard.open(path)
    np.testing.assert_array_equal(shard.keys, keys)
    np.testing.assert_array_equal(shard.read(wanted), vectors.astype(np.float16)[wanted])
    assert shard.read(wanted[:0]).shape == (0, 8)


def test_unusable_stores_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none is missing; run the embed stages"):
        FeatureStore.open(tmp_path / "none")
    with pytest.raises(UserError, match="no feature shards"):
        FeatureStore.open(tmp_path)
    write_shard(tmp_path / "00000.h5", *rows(0, 5), ATTRIBUTES)
    write_shard(tmp_path / "00001.h5", *rows(5, 9), {**ATTRIBUTES, "fingerprint": "e" * 64})
    with pytest.raises(UserError, match="another encoder"):
        FeatureStore.open(tmp_path)
    whole = (tmp_path / "00000.h5").read_bytes()
    (tmp_path / "00001.h5").write_bytes(whole[: len(whole) - 100])
    with pytest.raises(UserError, match=r"00001\.h5 cannot be read"):
        FeatureStore.open(tmp_path)


@settings(max_examples=60)
@given(data=st.data())
def test_any_damage_is_told_or_changes_nothing(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "00000.h5"
    keys, vectors = rows(0, 5)
    attributes = {**ATTRIBUTES, **{f"more {i}": "text" for i in range(6)}}
    write_shard(path, keys, vectors, attributes)
    store = FeatureStore.open(tmp_path)
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    try:
        found = Shard.open(path)
    except UnreadableError as error:
        assert "\n" not in str(error)
        with pytest.raises(UserError, match=r"00000\.h5 cannot be read"):
            FeatureStore.open(tmp_path)
        with pytest.raises(UserError, match=r"00000\.h5 cannot be read"):
            store.lookup(keys)
    else:
        np.testing.assert_array_equal(found.keys, keys)
        np.testing.assert_array_equal(store.lookup(keys), vectors.astype(np.float16))
        assert found.attributes == store.attributes


def test_a_shard_that_changes_after_it_was_opened(tmp_path: Path) -> None:
    """Put in its place anew it is read on; another one is not taken for it."""
    path, (keys, vectors) = tmp_path / "00000.h5", rows(0, 5)
    write_shard(path, keys, vectors, ATTRIBUTES)
    store = FeatureStore.open(tmp_path)
    write_shard(path, keys, vectors, ATTRIBUTES)
    np.testing.assert_array_equal(store.lookup(keys), vectors.astype(np.float16))
    write_shard(path, *rows(5, 10), ATTRIBUTES)
    with pytest.raises(UserError, match="another one than before"):
        store.lookup(keys)
    path.unlink()
    with pytest.raises(UserError, match="is missing; run the embed stages"):
        store.lookup(keys)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e6])  # the last is beyond float16
def test_what_is_not_finite_is_not_stored(tmp_path: Path, value: float) -> None:
    keys, vectors = rows(0, 5)
    vectors[3, 2] = value
    with pytest.raises(UserError, match=r"1 of 5 embeddings are NaN or infinite.*clip\.model"):
        write_shard(tmp_path / "00000.h5", keys, vectors, ATTRIBUTES)
    assert list(tmp_path.iterdir()) == []
