"""A cache of chunks is a dictionary, whatever happens to its files and its index."""

import os
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.common import chunk_index
from pipeline.common.chunks import chunk_name
from pipeline.common.errors import UserError
from pipeline.common.keys import as_keys
from pipeline.features.cache import EncodeCache
from pipeline.features.store import Shard
from tests.damage import damaged

FINGERPRINT = "ab" * 32
EVERY = range(60)


def key(number: int) -> bytes:
    return (number * 7919 % 65536).to_bytes(2, "big") * 16


def vectors(numbers: list[int]) -> np.ndarray:
    return np.array([[number, 1] for number in numbers], np.float16)


class Opening(EncodeCache):
    """Notes which files it opens."""

    def open_chunk(self, path: Path) -> tuple[np.ndarray, Shard]:
        opened.append(path.name)
        return super().open_chunk(path)


opened: list[str] = []


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(chunk_index, "FEW_FILES", 3)
    opened.clear()
    return


class AsDictionary(RuleBasedStateMachine):
    """Adds and damages files, in one cache object and beside it, and compares with a dictionary."""

    @initialize(few=st.integers(1, 3), rows=st.sampled_from([2, 5, 1000]))
    def start(self, few: int, rows: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(chunk_index, "FEW_FILES", few)
        self.patch.setattr(chunk_index, "SEGMENT_ROWS", rows)
        self.temporary = TemporaryDirectory()
        self.home = Path(self.temporary.name)
        self.cache = self.opened()
        self.whole: dict[bytes, list[int]] = {}
        """Numbers of the keys in a file of these bytes: damage may undo damage."""

    def opened(self) -> EncodeCache:
        return EncodeCache("image", FINGERPRINT, self.home)

    def sound(self) -> dict[str, list[int]]:
        """Numbers of the keys in each file that is whole, by its name."""
        found = {path.name: self.whole.get(path.read_bytes()) for path in self.files("*.h5")}
        return {name: numbers for name, numbers in found.items() if numbers}

    def files(self, pattern: str) -> list[Path]:
        return sorted(self.cache.folder.rglob(pattern))

    @rule(
        numbers=st.lists(st.sampled_from(EVERY), min_size=1, max_size=5, unique=True),
        beside=st.booleans(),
    )
    def add(self, numbers: list[int], beside: bool) -> None:
        keys = as_keys([key(number) for number in numbers])
        (self.opened() if beside else self.cache).add(keys, vectors(numbers))
        self.whole[(self.cache.folder / chunk_name(keys)).read_bytes()] = numbers

    @precondition(lambda self: self.files("*.h5"))
    @rule(data=st.data())
    def delete_a_file(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.files("*.h5"))).unlink()

    @precondition(lambda self: self.files("*.h5"))
    @rule(data=st.data())
    def damage_a_file(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(self.files("*.h5")))
        path.write_bytes(data.draw(damaged(path.read_bytes() or b"nothing")))

    def alike(self) -> list[tuple[str, str]]:
        """Pairs of files with as many rows; of one with more than its name says, some would count
        as missing."""
        sound = self.sound()
        pairs = permutations(sorted(sound), 2)
        return [(a, b) for a, b in pairs if len(sound[a]) == len(sound[b])]

    @precondition(lambda self: self.alike())
    @rule(data=st.data())
    def put_a_file_in_place_of_another(self, data: st.DataObject) -> None:
        one, other = data.draw(st.sampled_from(self.alike()))
        os.replace(self.cache.folder / one, self.cache.folder / other)

    @precondition(lambda self: self.files("*.idx"))
    @rule(data=st.data(), delete=st.booleans())
    def damage_the_index(self, data: st.DataObject, delete: bool) -> None:
        path = data.draw(st.sampled_from(self.files("*.idx")))
        if delete:
            path.unlink()
        else:
            path.write_bytes(data.draw(damaged(path.read_bytes() or b"nothing")))

    @rule()
    def reopen(self) -> None:
        self.cache = self.opened()

    @rule(numbers=st.lists(st.sampled_from(EVERY), min_size=1))
    def read_what_is_there(self, numbers: list[int]) -> None:
        """An object that others worked beside may not know it, but says nothing wrong."""
        keys = as_keys([key(number) for number in numbers])
        there = np.flatnonzero(self.cache.readable(keys))
        try:
            found = self.cache.read(keys[there])
        except UserError as error:
            assert "run it again" in str(error)
        else:
            if len(there):
                np.testing.assert_array_equal(found, vectors([numbers[i] for i in there]))

    @invariant()
    def a_new_object_knows_all(self) -> None:
        if not hasattr(self, "whole"):
            return
        cache = self.opened()
        keys = as_keys([key(number) for number in EVERY])
        expected = {number for numbers in self.sound().values() for number in numbers}
        there = np.flatnonzero(cache.readable(keys))
        assert set(there.tolist()) == expected
        np.testing.assert_array_equal(cache.contains(keys), np.isin(EVERY, there))
        if len(there):
            np.testing.assert_array_equal(cache.read(keys[there]), vectors(there.tolist()))

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()
            self.temporary.cleanup()


TestAsDictionary = pytest.mark.slow(AsDictionary.TestCase)
TestAsDictionary.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


def filled(chunks: int = 6) -> EncodeCache:
    cache = Opening("image", FINGERPRINT)
    for start in range(0, 5 * chunks, 5):
        numbers = list(range(start, start + 5))
        cache.add(as_keys([key(number) for number in numbers]), vectors(numbers))
    return cache


def keys_of(*numbers: int) -> np.ndarray:
    return as_keys([key(number) for number in numbers])


def test_a_start_opens_what_is_new_alone() -> None:
    cache = filled()
    Opening("image", FINGERPRINT)
    opened.clear()
    again = Opening("image", FINGERPRINT)
    assert opened == []
    assert again.contains(keys_of(*range(40))).tolist() == [True] * 30 + [False] * 10
    assert opened == [], "no chunk is read to know what is there"
    again.read(keys_of(3, 29))
    assert len(opened) == 2
    cache.add(keys_of(50), vectors([50]))
    opened.clear()
    assert Opening("image", FINGERPRINT).contains(keys_of(50, 0)).all()
    assert len(opened) == 1


def test_damage_is_told_when_it_is_first_read(capsys: pytest.CaptureFixture[str]) -> None:
    filled()
    cache = Opening("image", FINGERPRINT)
    path = cache.folder / chunk_name(keys_of(0, 1, 2, 3, 4))
    path.write_bytes(path.read_bytes()[:-5])
    assert Opening("image", FINGERPRINT).contains(keys_of(0)).all(), "the index cannot know"
    assert cache.readable(keys_of(0, 7, 1)).tolist() == [False, True, False]
    assert capsys.readouterr().err.count(f"warning: ignoring {path}") == 1
    assert cache.contains(keys_of(0, 7)).tolist() == [False, True]
    cache.add(keys_of(0, 1, 2, 3, 4), vectors([0, 1, 2, 3, 4]))
    np.testing.assert_array_equal(cache.read(keys_of(4, 9)), vectors([4, 9]))


def test_segments_stay_few() -> None:
    for start in range(40):
        cache = EncodeCache("image", FINGERPRINT)
        for number in (3 * start, 3 * start + 1, 3 * start + 2):
            cache.add(keys_of(number), vectors([number]))
    cache = EncodeCache("image", FINGERPRINT)
    assert cache.contains(keys_of(*range(120))).all()
    assert len(list(cache.folder.rglob("*.idx"))) < 6


def test_what_is_no_longer_there_leaves_the_index() -> None:
    cache = filled()
    Opening("image", FINGERPRINT)
    (index,) = cache.folder.rglob("*.idx")
    size = index.stat().st_size
    for start in (0, 5, 10, 15):
        (cache.folder / chunk_name(keys_of(*range(start, start + 5)))).unlink()
    assert Opening("image", FINGERPRINT).contains(keys_of(*range(30))).sum() == 10
    (index,) = cache.folder.rglob("*.idx")
    assert index.stat().st_size < size / 2
    for path in cache.folder.glob("*.h5"):
        path.unlink()
    assert not Opening("image", FINGERPRINT).contains(keys_of(*range(30))).any()
    assert list(cache.folder.rglob("*.idx")) == []


def test_an_index_that_cannot_be_written_is_done_without() -> None:
    cache = filled()
    (cache.folder / "index").write_text("in the way")
    assert Opening("image", FINGERPRINT).read(keys_of(3, 29)).shape == (2, 2)
    assert (cache.folder / "index").read_text() == "in the way"


def test_files_that_became_part_of_another_are_found_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As `compact` leaves a process that opened the cache before."""
    filled()
    cache = EncodeCache("image", FINGERPRINT)
    before = sorted(cache.folder.glob("*.h5"))
    cache.read(keys_of(0, 1))
    EncodeCache("image", FINGERPRINT).add(keys_of(*range(30)), vectors([*range(30)]))
    for path in before:
        path.unlink()
    np.testing.assert_array_equal(cache.read(keys_of(*range(30))), vectors([*range(30)]))
    assert capsys.readouterr().err == ""
