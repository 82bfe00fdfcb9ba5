"""Segments find what a dictionary would, and say nothing wrong when they are damaged."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.common import chunk_segments
from pipeline.common.chunk_segments import ROW, Segment, merged, sorted_by_key, write_segment
from pipeline.common.keys import as_keys, flat_keys
from tests.damage import damaged

SMALL = st.integers(0, 40).map(lambda n: n.to_bytes(2, "big") * 16)
"""So few different keys that many occur several times."""
KEYS = st.one_of(SMALL, st.binary(min_size=32, max_size=32))
FILES = st.lists(st.lists(KEYS, max_size=300), min_size=1, max_size=6)


def segment_of(folder: Path, files: Sequence[Sequence[bytes]], names: str = "a") -> Segment:
    rows = np.array(
        [(key, number, row) for number, keys in enumerate(files) for row, key in enumerate(keys)],
        ROW,
    )
    covered = [(f"{names}{number}.h5", len(keys)) for number, keys in enumerate(files)]
    return Segment(write_segment(folder, covered, [sorted_by_key(rows)]))


def places(files: Sequence[Sequence[bytes]], key: bytes) -> set[tuple[int, int]]:
    return {(n, row) for n, keys in enumerate(files) for row, one in enumerate(keys) if one == key}


def found(segment: Segment, keys: list[bytes], numbers: list[int]) -> list[tuple[int, int]]:
    flat = np.sort(flat_keys(as_keys(keys)))
    files, rows = segment.find(flat, np.array(numbers, np.int64))
    return list(zip(files.tolist(), rows.tolist(), strict=True))


@settings(max_examples=60)
@given(data=st.data(), files=FILES, others=st.lists(KEYS, max_size=20))
def test_every_key_is_found_in_a_file_that_counts(
    tmp_path: Path, data: st.DataObject, files: list[list[bytes]], others: list[bytes]
) -> None:
    counts = data.draw(st.lists(st.booleans(), min_size=len(files), max_size=len(files)))
    segment = segment_of(tmp_path, files)
    assert segment.rows == sum(map(len, files))
    wanted = sorted({key for keys in files for key in keys} | set(others))
    numbers = [10 + n if there else -1 for n, there in enumerate(counts)]
    for key, (file, row) in zip(wanted, found(segment, wanted, numbers), strict=True):
        right = {(10 + n, row) for n, row in places(files, key) if counts[n]}
        assert (file, row) in (right or {(-1, -1)})


@settings(max_examples=40)
@given(data=st.data(), files=FILES)
def test_merged_segments_hold_what_they_held(
    tmp_path: Path, data: st.DataObject, files: list[list[bytes]]
) -> None:
    cut = data.draw(st.integers(0, len(files)))
    parts = [segment_of(tmp_path, files[:cut], "a"), segment_of(tmp_path, files[cut:], "b")]
    numbers = [np.arange(cut), np.arange(cut, len(files))]
    runs = [part.sorted_rows(which) for part, which in zip(parts, numbers, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk_segments, "BLOCKS_AT_A_TIME", 1)
        rows = np.concatenate([np.empty(0, ROW), *merged(runs)])
    assert (rows["key"][:-1] <= rows["key"][1:]).all()
    assert sorted((int(row["file"]), int(row["row"])) for row in rows) == [
        (number, row) for number, keys in enumerate(files) for row in range(len(keys))
    ]
    assert all(files[row["file"]][row["row"]] == bytes(row["key"]).ljust(32, b"\0") for row in rows)


def trusted(path: Path, wanted: list[bytes], right: list[tuple[int, int]]) -> bool:
    """Whether a segment is taken for whole; what it says is right then."""
    try:
        says = found(Segment(path), wanted, [0, 1])
    except OSError:
        return False
    assert says == right
    return True


FIXED = [[bytes([i, n]) * 16 for i in range(75)] for n in range(2)]


@pytest.mark.slow
def test_no_bit_of_a_segment_can_flip_unnoticed(tmp_path: Path) -> None:
    path = segment_of(tmp_path, FIXED).path
    wanted = sorted(key for keys in FIXED for key in keys)
    right = found(Segment(path), wanted, [0, 1])
    assert trusted(path, wanted, right)
    whole = path.read_bytes()
    for place in range(len(whole)):
        flipped = bytes([whole[place] ^ (1 << place % 8)])
        path.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        assert not trusted(path, wanted, right), place


@settings(max_examples=100)
@given(data=st.data())
def test_other_damage_is_noticed_or_changes_nothing(tmp_path: Path, data: st.DataObject) -> None:
    path = segment_of(tmp_path, FIXED).path
    wanted = sorted(key for keys in FIXED for key in keys)[:: data.draw(st.integers(1, 200))]
    right = found(Segment(path), wanted, [0, 1])
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    trusted(path, wanted, right)
