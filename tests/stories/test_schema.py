from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.stories.schema import STORY_SCHEMA, count_stories, iter_stories, write_stories
from tests.stories.story_rows import story_row


def test_stories_come_back_as_they_went_with_train_before_test(tmp_path: Path) -> None:
    train = [story_row(f"a{n}", n_frames=1 + n % 3) for n in range(7)]
    test = [story_row("b0")]
    assert write_stories(iter(train), tmp_path / "train", rows_per_file=3) == 7
    assert write_stories(test, tmp_path / "test") == 1
    assert count_stories(tmp_path) == 8
    read = list(iter_stories(tmp_path))
    assert [row for _, _, row in read] == train + test
    assert [(name, number) for name, number, _ in read] == [
        *((f"train/{file:05d}.parquet", row) for file in (0, 1) for row in range(3)),
        ("train/00002.parquet", 0),
        ("test/00000.parquet", 0),
    ]
    assert [set(row) for _, _, row in iter_stories(tmp_path, ["story_id"])] == [{"story_id"}] * 8


def test_equal_rows_give_equal_bytes_in_small_row_groups(tmp_path: Path) -> None:
    rows = [story_row(f"s{n}", n_frames=2) for n in range(40)]
    for folder in ("one", "two"):
        write_stories(rows, tmp_path / folder)
    one, two = (tmp_path / folder / "00000.parquet" for folder in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert pq.ParquetFile(one).num_row_groups == 3
    assert pq.read_schema(one).equals(STORY_SCHEMA)


def test_writing_again_leaves_nothing_of_before(tmp_path: Path) -> None:
    write_stories([story_row(f"s{n}") for n in range(3)], tmp_path, rows_per_file=1)
    write_stories([story_row("t")], tmp_path)
    assert [row["story_id"] for _, _, row in iter_stories(tmp_path)] == ["t"]


def test_a_source_that_fails_at_once_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    def rows() -> Any:
        raise UserError("no source")
        yield

    write_stories([story_row("s")], tmp_path)
    with pytest.raises(UserError, match="no source"):
        write_stories(rows(), tmp_path)
    assert count_stories(tmp_path) == 1


def test_rows_that_do_not_fit_are_named(tmp_path: Path) -> None:
    rows = [story_row("s"), story_row("t", frame_count="many")]
    with pytest.raises(UserError, match="among rows 0 to 1 does not fit the schema"):
        write_stories(rows, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_column_names_file_and_column(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([story_row("s")], schema=STORY_SCHEMA).drop_columns(["story"])
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"x\.parquet has no column 'story'"):
        list(iter_stories(tmp_path))


def test_a_wrong_type_names_file_and_column(tmp_path: Path) -> None:
    schema = STORY_SCHEMA.set(2, pa.field("frame_count", pa.string()))
    pq.write_table(
        pa.Table.from_pylist([story_row("s", frame_count="5")], schema=schema),
        tmp_path / "x.parquet",
    )
    with pytest.raises(UserError, match=r"x\.parquet: column 'frame_count' is of type string"):
        list(iter_stories(tmp_path))


def test_wider_types_are_read_as_they_are(tmp_path: Path) -> None:
    image = pa.struct([("path", pa.large_string()), ("bytes", pa.large_binary())])
    schema = pa.schema(
        [
            ("story", pa.large_string()),
            ("images", pa.large_list(image)),
            ("story_id", pa.large_string()),
            ("chain_of_thought", pa.null()),
            ("frame_count", pa.int32()),
            ("more", pa.float64()),
        ]
    )
    row = story_row("s", chain_of_thought=None)
    pq.write_table(
        pa.Table.from_pylist([row | {"more": 1.0}], schema=schema), tmp_path / "x.parquet"
    )
    assert [found for _, _, found in iter_stories(tmp_path)] == [row]


def test_no_files_and_broken_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no parquet files"):
        list(iter_stories(tmp_path))
    (tmp_path / "x.parquet").write_bytes(b"PAR1, not really")
    with pytest.raises(UserError, match=r"x\.parquet cannot be read as parquet"):
        list(iter_stories(tmp_path))
