import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.features.store import (
    BLOCK_ROWS,
    FeatureStore,
    KeyIndex,
    UnreadableShardError,
    publish_shards,
    read_shard,
    write_shard,
)
from tests.damage import damaged

ATTRIBUTES = {"modality": "text", "model": "m", "revision": "", "fingerprint": "f" * 64}


def rows(first: int, last: int, dim: int = 8) -> tuple[np.ndarray, np.ndarray]:
    digests = [hashlib.sha256(str(i).encode()).digest() for i in range(first, last)]
    vectors = np.random.default_rng(first).normal(size=(last - first, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32), vectors.astype(np.float32)


def test_what_is_published_is_found_again(tmp_path: Path) -> None:
    parts = [rows(0, 5), rows(5, 9)]
    publish_shards(tmp_path, parts, ATTRIBUTES)
    store = FeatureStore.open(tmp_path)
    assert (len(store), store.dim, store.model, store.revision) == (9, 8, "m", None)
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
    every_key, found, _ = read_shard(path, wanted)
    np.testing.assert_array_equal(every_key, keys)
    np.testing.assert_array_equal(found, vectors.astype(np.float16)[wanted])
    assert read_shard(path, wanted[:0])[1].shape == (0, 8)
    assert len(read_shard(path)[1]) == last + 1


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


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_damage_is_told_or_changes_nothing(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "00000.h5"
    keys, vectors = rows(0, 5)
    attributes = {**ATTRIBUTES, **{f"more {i}": "text" for i in range(6)}}
    write_shard(path, keys, vectors, attributes)
    whole = read_shard(path)
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    try:
        found = read_shard(path)
    except UnreadableShardError as error:
        assert "\n" not in str(error)
        with pytest.raises(UserError, match=r"00000\.h5 cannot be read"):
            FeatureStore.open(tmp_path)
    else:
        np.testing.assert_array_equal(found[0], whole[0])
        np.testing.assert_array_equal(found[1], whole[1])
        assert found[2] == whole[2]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_stored(tmp_path: Path, value: float) -> None:
    keys, vectors = rows(0, 5)
    vectors[3, 2] = value
    with pytest.raises(UserError, match=r"1 of 5 embeddings are NaN or infinite.*clip\.model"):
        write_shard(tmp_path / "00000.h5", keys, vectors, ATTRIBUTES)
    assert list(tmp_path.iterdir()) == []


@given(
    st.lists(st.binary(min_size=32, max_size=32), max_size=30),
    st.lists(st.binary(min_size=32, max_size=32), max_size=10),
)
def test_index_agrees_with_a_dictionary(known: list[bytes], others: list[bytes]) -> None:
    near = [key[:31] + b"\0" for key in known] + [b"\0" * 32]
    first: dict[bytes, int] = {}
    for row, key in enumerate(known):
        first.setdefault(key, row)
    array = np.frombuffer(b"".join(known), np.uint8).reshape(-1, 32)
    wanted = known + others + near
    expected = [first.get(key, -1) for key in wanted]
    assert KeyIndex(array).find(wanted).tolist() == expected
