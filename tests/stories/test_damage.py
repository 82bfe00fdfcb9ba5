"""Bits that change on a disk: every reader gives the same rows, or one sentence."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.common.parquet import open_parquet, writing_parquet
from pipeline.features.sources import stream_captions, stream_images
from pipeline.images.reader import Place, read_pictures
from pipeline.stories.annotations import iter_annotations
from pipeline.stories.frames import read_frames
from pipeline.stories.schema import STORY_SCHEMA, iter_file, iter_stories
from tests.damage import damaged
from tests.stories.story_rows import encoded_image, story_row
from tests.world import write_world

ROWS = [story_row(f"s{n}", n_frames=2) for n in range(3)]
FRAMES = "stories/frames.parquet"
ANNOTATIONS = "stories/annotations.parquet"
Read = Callable[[Path], Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three stories of two frames."""
    folder = tmp_path_factory.mktemp("damage")
    names = (row["story_id"] for row in ROWS)
    frames = [(encoded_image(n), f"Frame {n} of a story.") for n in range(2)]
    write_world(folder, {name: frames for name in names})
    return folder


def embedded_images(folder: Path) -> list[bytes]:
    images = stream_images(folder / "raw", folder / FRAMES, np.arange(6))
    return [image.data for image in images]


def pictures(folder: Path) -> list[bytes]:
    places = [Place("train/00000.parquet", row, index) for row in range(3) for index in range(2)]
    return [image.tobytes() for image in read_pictures(folder / "raw", places)]


def annotated(folder: Path) -> Any:
    return [b.to_pylist() for b in iter_annotations(folder / ANNOTATIONS, ["s0", "s2"])]


RAW_READERS: dict[str, Read] = {
    "prepare": lambda folder: list(iter_stories(folder / "raw")),
    "embed": embedded_images,
    "report": pictures,
}
FRAMES_READERS: dict[str, Read] = {
    "stages": lambda folder: read_frames(folder / FRAMES).to_pylist(),
    "some columns": lambda folder: read_frames(folder / FRAMES, ["caption"]).to_pylist(),
    "embed": embedded_images,
    "captions": lambda folder: list(stream_captions(folder / FRAMES, np.arange(6))),
}
READERS = [
    *(
        pytest.param("raw/train/00000.parquet", read, id=f"raw, {name}")
        for name, read in RAW_READERS.items()
    ),
    *(pytest.param(FRAMES, read, id=f"frames, {name}") for name, read in FRAMES_READERS.items()),
    pytest.param(ANNOTATIONS, annotated, id="annotations"),
]


@pytest.mark.parametrize(("name", "read"), READERS)
@given(data=st.data())
@settings(max_examples=60)
def test_a_damaged_file_gives_the_same_rows_or_one_sentence(
    folder: Path, name: str, read: Read, data: st.DataObject
) -> None:
    path = folder / name
    sound, rows = path.read_bytes(), read(folder)
    try:
        path.write_bytes(data.draw(damaged(sound)))
        assert read(folder) == rows
    except UserError as error:
        assert name in str(error)
        assert "\n" not in str(error)
        assert path.read_bytes() != sound
    finally:
        path.write_bytes(sound)


def test_no_bit_of_the_footer_or_the_seal_changes_a_row(tmp_path: Path, folder: Path) -> None:
    sound = (folder / FRAMES).read_bytes()
    rows = read_frames(folder / FRAMES).to_pylist()
    path = tmp_path / "frames.parquet"
    tail = 8 + int.from_bytes(sound[-8:-4], "little") + 64
    for place in range(len(sound) - tail, len(sound)):
        changed = bytearray(sound)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with contextlib.suppress(UserError):
            assert read_frames(path).to_pylist() == rows
    for bit in range(32):  # of the footer's length, by which the seal is found
        changed = bytearray(sound)
        changed[-8 + bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(UserError):
            read_frames(path)


@given(data=st.data())
@settings(max_examples=150)
def test_a_damaged_file_of_another_program_ends_in_no_traceback(
    folder: Path, data: st.DataObject
) -> None:
    path = folder / "theirs.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS, schema=STORY_SCHEMA), path)
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    try:
        list(iter_file(path))
    except UserError as error:
        assert "theirs.parquet" in str(error)
        assert "\n" not in str(error)


def test_page_checksums_of_another_program_are_verified(tmp_path: Path) -> None:
    path = tmp_path / "theirs.parquet"
    table = pa.Table.from_pylist(ROWS, schema=STORY_SCHEMA)
    pq.write_table(table, path, write_page_checksum=True, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[data.index(b"s1")] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="cannot be read as parquet"):
        list(iter_file(path))


def test_a_sealed_file_is_parquet_for_everyone_and_for_tools_that_rewrite_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table({"n": [1, 2, 3]})
    with writing_parquet(path, table.schema) as writer:
        writer.write_table(table)
    assert pq.read_table(path).equals(table)
    rewritten = pq.read_table(path).slice(1)
    pq.write_table(rewritten, path)  # by hand: what was sealed no longer is
    with open_parquet(path) as file:
        assert file.read().equals(rewritten)


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"before")
    table = pa.table({"n": [1]})
    with pytest.raises(KeyError), writing_parquet(path, table.schema) as writer:
        writer.write_table(table)
        raise KeyError
    assert [file.name for file in tmp_path.iterdir()] == ["x.parquet"]
    assert path.read_bytes() == b"before"
