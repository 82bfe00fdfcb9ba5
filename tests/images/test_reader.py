"""Images are read by their place, whatever the order and however large a row group is."""

import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.images.reader import Place, read_images, read_pictures
from pipeline.stories.schema import STORY_SCHEMA, iter_stories, write_stories
from tests.stories.story_rows import encoded_image, story_row

STORIES, FRAMES, PER_FILE = 40, 3, 25
"""More than a file's rows, and more in a file than one row group's 16."""


def images(*encoded: bytes | None) -> list[dict[str, Any]]:
    return [{"bytes": data, "path": None} for data in encoded]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stories whose images say where they lie."""
    folder = tmp_path_factory.mktemp("raw")
    rows = (
        story_row(f"s{n}", images=images(*(f"{n}/{i}".encode() for i in range(FRAMES))))
        for n in range(STORIES)
    )
    write_stories(rows, folder / "train", rows_per_file=PER_FILE)
    return folder


def place(story: int, index: int) -> Place:
    return Place(f"train/{story // PER_FILE:05d}.parquet", story % PER_FILE, index)


@given(st.lists(st.tuples(st.integers(0, STORIES - 1), st.integers(0, FRAMES - 1)), max_size=12))
def test_in_any_order_each_place_gives_its_image(raw: Path, wanted: list[tuple[int, int]]) -> None:
    found = read_images(raw, [place(*at) for at in wanted])
    assert list(found) == [f"{story}/{index}".encode() for story, index in wanted]


def test_places_are_taken_as_images_are_asked_for(raw: Path) -> None:
    taken = []
    places = (taken.append(n) or place(n, 0) for n in itertools.count())
    found = read_images(raw, places)
    assert [next(found) for _ in range(5)] == [f"{n}/0".encode() for n in range(5)]
    assert taken == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        (Place("train/00000.parquet", PER_FILE, 0), "no image 0 in row 25"),
        (Place("train/00000.parquet", 24, FRAMES), "no image 3 in row 24"),
        (Place("train/00007.parquet", 0, 0), "00007.parquet is missing"),
    ],
)
def test_what_is_not_there_is_named(raw: Path, where: Place, sentence: str) -> None:
    found = read_images(raw, [place(0, 0), where])
    assert next(found) == b"0/0"
    with pytest.raises(UserError, match=sentence):
        next(found)


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    row = story_row("s", images=[*images(b"no image", None), None])
    write_stories([row, row | {"images": None}], tmp_path / "train")
    file = "train/00000.parquet"
    with pytest.raises(UserError, match=r"00000.parquet, image 0 of row 0: .* cannot be decoded"):
        list(read_pictures(tmp_path, [Place(file, 0, 0)]))
    for row_number, index in ((0, 1), (0, 2), (1, 0)):
        with pytest.raises(UserError, match=f"no image {index} in row {row_number}"):
            list(read_images(tmp_path, [Place(file, row_number, index)]))
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:-20])
    with pytest.raises(UserError, match="cannot be read as parquet"):
        list(read_images(tmp_path, [Place(file, 0, 0)]))


def test_pictures_are_decoded(tmp_path: Path) -> None:
    write_stories([story_row("s", images=images(encoded_image(9, form="PNG")))], tmp_path / "train")
    (picture,) = read_pictures(tmp_path, [Place("train/00000.parquet", 0, 0)])
    assert picture.mode == "RGB" and picture.getpixel((5, 5)) == (9, 246, 40)


@pytest.mark.slow
def test_a_row_group_may_hold_more_than_arrow_gives_in_one_piece(tmp_path: Path) -> None:
    """15 stories with 2.25 GB of images in one row group: zeros, which take no room on disk."""
    data = pa.array([bytes(75_000_000)] * 2)
    struct = STORY_SCHEMA.field("images").type.value_type
    image = pa.StructArray.from_arrays([data, pa.array(["", ""])], fields=list(struct))
    columns = [["s"], pa.ListArray.from_arrays([0, 2], image), [2], [""], [""]]
    story = pa.table(columns, schema=STORY_SCHEMA)
    path = tmp_path / "train" / "00000.parquet"
    path.parent.mkdir()
    pq.write_table(pa.concat_tables([story] * 15), path, compression="zstd", use_dictionary=False)
    assert pq.read_metadata(path).num_row_groups == 1
    found = read_images(tmp_path, [Place("train/00000.parquet", row, 1) for row in (0, 14)])
    assert [len(data) for data in found] == [75_000_000] * 2
    rows = iter_stories(tmp_path)
    assert [len(row["images"]) for _, _, row in rows] == [2] * 15
