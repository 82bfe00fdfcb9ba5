import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.common.errors import UserError
from pipeline.stories.columns import CAPTIONS_SCHEMA
from pipeline.stories.schema import (
    STORY_SCHEMA,
    count_stories,
    iter_file,
    iter_stories,
    write_stories,
)
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


def test_equal_rows_give_equal_bytes_in_small_row_groups(tmp_path: Path) -> None:
    rows = [story_row(f"s{n}", n_frames=2) for n in range(40)]
    for folder in ("one", "two"):
        write_stories(rows, tmp_path / folder)
    one, two = (tmp_path / folder / "00000.parquet" for folder in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert pq.ParquetFile(one).num_row_groups == 3
    assert pq.read_schema(one).equals(STORY_SCHEMA)


def test_captions_given_one_by_one_stay_a_list_in_files_of_their_own(tmp_path: Path) -> None:
    tagged, given = story_row("a", n_frames=2), story_row("b", n_frames=2, story=["One.", None])
    nothing = story_row("c", n_frames=2, story=None)
    rows = [tagged, given, nothing, given, tagged, tagged]
    assert write_stories(iter(rows), tmp_path, rows_per_file=4) == len(rows)
    assert [row for _, _, row in iter_stories(tmp_path)] == rows
    schemas = [pq.read_schema(path) for path in sorted(tmp_path.iterdir())]
    assert schemas == [STORY_SCHEMA, CAPTIONS_SCHEMA, STORY_SCHEMA]


def big_story(story_id: str, megabytes: float) -> dict[str, Any]:
    images = [{"bytes": random.Random(story_id).randbytes(int(megabytes * 2**19)), "path": None}]
    return story_row(story_id, n_frames=2, images=2 * images)


def test_row_groups_and_files_are_bounded_by_bytes(tmp_path: Path) -> None:
    sizes = [0.4, 0.4, 0.4, 3.0, 0.1, 0.1, 0.9, 0.2, 0.2]
    rows = [big_story(f"s{n}", size) for n, size in enumerate(sizes)]
    assert write_stories(iter(rows), tmp_path, bytes_per_group=2**20) == len(rows)
    files = sorted(tmp_path.iterdir())
    groups = [
        [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        for file in map(pq.ParquetFile, files)
    ]
    # a story beyond the bound is alone in its group; a file ends after four groups' worth
    assert groups == [[2, 1, 1], [2, 1, 2]]
    assert [row for _, _, row in iter_stories(tmp_path)] == rows


def test_a_story_beyond_what_a_column_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.stories.schema.MOST_BYTES", 2**20)
    with pytest.raises(UserError, match=r"row 1, story large, has .* GiB of images"):
        write_stories(
            [story_row("small"), big_story("large", 1.5)], tmp_path, bytes_per_group=2**20
        )


def test_a_large_row_group_of_another_program_is_read_a_story_at_a_time(tmp_path: Path) -> None:
    rows = [big_story(f"s{n}", 2) for n in range(40)]
    table = pa.Table.from_pylist(rows, schema=STORY_SCHEMA)
    pq.write_table(table, tmp_path / "x.parquet", write_batch_size=1, write_statistics=False)
    del rows, table
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    held = [pool.bytes_allocated() - before for _ in iter_stories(tmp_path)]
    assert len(held) == 40
    assert max(held) < 12 * 2**20  # of 80 MiB in one row group


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


IMAGE = STORY_SCHEMA.field("images").type.value_type


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("story", pa.string_view(), "x"),
        ("story", pa.dictionary(pa.int8(), pa.large_string()), "x"),
        ("story_id", pa.uint64(), 2**64 - 1),
        ("story_id", pa.dictionary(pa.int8(), pa.int16()), -3),
        ("images", pa.list_view(IMAGE), [{"bytes": b"x", "path": None}]),
        ("images", pa.large_list_view(IMAGE), [{"bytes": b"x", "path": None}]),
        ("images", pa.list_(IMAGE, 1), [{"bytes": b"x", "path": None}]),
        ("images", pa.list_(pa.struct({"bytes": pa.binary(1)})), [{"bytes": b"x", "path": None}]),
        ("images", pa.list_(pa.binary_view()), [{"bytes": b"x", "path": None}]),
        ("frame_count", pa.uint8(), 5),
        ("frame_count", pa.float32(), 5.0),
        ("chain_of_thought", pa.null(), None),
    ],
)
def test_columns_of_other_types_hold_the_same_values(
    tmp_path: Path, name: str, kind: pa.DataType, value: Any
) -> None:
    schema = STORY_SCHEMA.set(STORY_SCHEMA.get_field_index(name), pa.field(name, kind))
    theirs = [image["bytes"] for image in value] if kind == pa.list_(pa.binary_view()) else value
    table = pa.Table.from_pylist([story_row("s") | {name: theirs}], schema=schema)
    pq.write_table(table, tmp_path / "x.parquet")
    (row,) = iter_file(tmp_path / "x.parquet")
    assert row == story_row("s") | {name: str(value) if name == "story_id" else value}


def test_gaps_in_a_count_as_pandas_writes_them(tmp_path: Path) -> None:
    schema = STORY_SCHEMA.set(2, pa.field("frame_count", pa.float64()))
    rows = [story_row("s", frame_count=count) for count in (2.0, float("nan"), None, 2.5)]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "x.parquet")
    read = iter_file(tmp_path / "x.parquet")
    assert [next(read)["frame_count"] for _ in range(3)] == [2, None, None]
    with pytest.raises(UserError, match=r"x\.parquet, row 3: frame_count is 2\.5, no whole number"):
        next(read)


def test_columns_that_nothing_needs_may_be_missing(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([story_row("s")], schema=STORY_SCHEMA)
    pq.write_table(table.drop_columns(["chain_of_thought", "frame_count"]), tmp_path / "x.parquet")
    (row,) = iter_file(tmp_path / "x.parquet")
    assert row == story_row("s", chain_of_thought=None, frame_count=None)


def test_hidden_files_are_no_stories(tmp_path: Path) -> None:
    write_stories([story_row("s")], tmp_path / "train")
    write_stories([story_row("t")], tmp_path / "train" / ".ipynb_checkpoints")
    assert [row["story_id"] for _, _, row in iter_stories(tmp_path)] == ["s"]


def test_values_that_do_not_fit_are_told_without_their_bytes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not fit the schema") as refused:
        write_stories([story_row("s", story=b"\xff" * 2**20)], tmp_path)
    assert "xff" not in str(refused.value)


def test_no_files_and_broken_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no parquet files"):
        list(iter_stories(tmp_path))
    (tmp_path / "x.parquet").write_bytes(b"PAR1, not really")
    with pytest.raises(UserError, match=r"x\.parquet cannot be read as parquet"):
        list(iter_stories(tmp_path))
