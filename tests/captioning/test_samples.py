"""The file of sampled captions: read back as written, cut and joined without a slip."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captioning.samples import Samples, read_samples, write_samples
from pipeline.common.errors import UserError
from pipeline.common.hdf5 import SEAL_BYTES, sealed_bytes
from tests.damage import damaged


def make(lengths: list[int]) -> Samples:
    count, tokens = len(lengths), sum(lengths)
    return Samples(
        key=np.arange(32 * count, dtype=np.uint8).reshape(count, 32),
        story=np.array([f"story {i}" for i in range(count)], dtype=object),
        text=np.array([f"Caption {i}, “quoted” — ünïcode" for i in range(count)], dtype=object),
        length=np.array(lengths, np.int64),
        token=np.arange(tokens, dtype=np.int64),
        logprob=-np.arange(tokens, dtype=np.float32),
        finished=np.arange(count) % 2 == 0,
        embedding=np.arange(4 * count, dtype=np.float16).reshape(count, 4),
    )


def equal(a: Samples, b: Samples) -> bool:
    return all(
        getattr(a, n).dtype == getattr(b, n).dtype and np.array_equal(getattr(a, n), getattr(b, n))
        for n in vars(a)
    )


def test_read_back_as_written_and_the_same_bytes(tmp_path: Path) -> None:
    samples = make([3, 1, 5])
    for name in ("a.h5", "b.h5"):
        write_samples(tmp_path / name, samples, {"fingerprint": "f"})
    read, attributes = read_samples(tmp_path / "a.h5")
    assert equal(read, samples)
    assert attributes == {"fingerprint": "f"}
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_no_samples_are_a_file_too(tmp_path: Path) -> None:
    write_samples(tmp_path / "none.h5", Samples.none(4), {"fingerprint": ""})
    read, _ = read_samples(tmp_path / "none.h5")
    assert len(read) == 0 and read.embedding.shape == (0, 4)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.data())
def test_take_and_join(lengths: list[int], data: st.DataObject) -> None:
    samples = make(lengths)
    order = data.draw(st.permutations(range(len(lengths))))
    back = [order.index(i) for i in range(len(lengths))]
    assert equal(samples.take(order).take(back), samples)
    cut = data.draw(st.integers(1, len(lengths)))
    parts = [samples.take(range(cut)), samples.take(range(cut, len(lengths)))]
    assert equal(Samples.join(parts), samples)
    first = samples.take([order[0]])
    start = sum(lengths[: order[0]])
    assert first.token.tolist() == list(range(start, start + lengths[order[0]]))


def test_a_missing_or_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "captions.h5"
    with pytest.raises(UserError, match=r"captions\.h5 is missing; run the captions stage"):
        read_samples(path)
    write_samples(path, make([2, 2]), {})
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"cannot be read .* delete it and run the captions stage"):
        read_samples(path)
    other = sealed_bytes({}, {"format_version": 99})
    for older in (other[SEAL_BYTES:], other):  # without a seal, as it once was, and with one
        path.write_bytes(older)
        with pytest.raises(UserError, match="another version"):
            read_samples(path)


@settings(max_examples=60)
@given(data=st.data())
def test_any_damage_is_one_sentence(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "captions.h5"
    write_samples(path, make([2, 3]), {"fingerprint": "f"})
    whole = path.read_bytes()
    path.write_bytes(data.draw(damaged(whole)))
    if path.read_bytes() != whole:
        with pytest.raises(UserError, match="delete it and run the captions stage") as raised:
            read_samples(path)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["logprob", "embedding"])
def test_what_is_not_finite_is_not_stored(tmp_path: Path, name: str) -> None:
    samples = make([2, 3])
    getattr(samples, name).flat[1] = np.nan
    with pytest.raises(UserError, match=f"the {name}s of its captions are not all finite"):
        write_samples(tmp_path / "captions.h5", samples, {})
    assert list(tmp_path.iterdir()) == []
