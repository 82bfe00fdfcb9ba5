from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.common.errors import UserError
from pipeline.sources.hub import hub_stories
from pipeline.stories.schema import STORY_SCHEMA
from tests.stories.story_rows import story_row

CARD = """---
dataset_info:
  features:
  - name: story_id
    dtype: string
  - name: images
    sequence: image
  - name: frame_count
    dtype: int64
  - name: chain_of_thought
    dtype: string
  - name: story
    dtype: string
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
  - split: test
    path: data/test-*
---
"""


def write(path: Path, *story_ids: str, schema: pa.Schema = STORY_SCHEMA) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [story_row(story_id, n_frames=2) for story_id in story_ids]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def hub_layout(folder: Path) -> Path:
    write(folder / "data" / "train-00000-of-00002.parquet", "a", "b")
    write(folder / "data" / "train-00001-of-00002.parquet", "c")
    write(folder / "data" / "test-00000-of-00001.parquet", "d")
    return folder


def test_the_hubs_own_conversion_to_parquet(tmp_path: Path) -> None:
    """The layout of the Hub's branch refs/convert/parquet: a folder for config and split."""
    write(tmp_path / "default" / "train" / "0000.parquet", "a", "b")
    write(tmp_path / "default" / "train" / "0001.parquet", "c")
    write(tmp_path / "default" / "test" / "0000.parquet", "d")
    opened = hub_stories(str(tmp_path), "main").rows
    assert [row["story_id"] for row in opened["train"]()] == ["a", "b", "c"]
    assert list(opened["test"]()) == [story_row("d", n_frames=2)]


@pytest.mark.parametrize("card", [CARD, None], ids=["with card", "without card"])
def test_a_folder_in_the_hubs_layout_keeps_the_encoded_bytes(
    tmp_path: Path, card: str | None
) -> None:
    folder = hub_layout(tmp_path / "stories")
    if card:
        (folder / "README.md").write_text(card)
    opened = hub_stories(str(folder), "main").rows
    assert list(opened) == ["train", "test"]
    assert list(opened["train"]()) == [story_row(name, n_frames=2) for name in "abc"]
    assert list(opened["test"]()) == [story_row("d", n_frames=2)]


def test_a_hub_dataset_without_a_column_is_no_dataset_of_stories(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train-00000-of-00001.parquet", "a", schema=STORY_SCHEMA.remove(4))
    with pytest.raises(UserError, match="split train has no column 'story'"):
        hub_stories(str(tmp_path), "main")


def test_a_hub_dataset_without_train_is_said(tmp_path: Path) -> None:
    write(tmp_path / "data" / "test-00000-of-00001.parquet", "a")
    with pytest.raises(UserError, match="has no train split, only test"):
        hub_stories(str(tmp_path), "main")


def test_an_empty_folder_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="sample or parquet"):
        hub_stories(str(tmp_path), "main")


STRING, IMAGE = pa.string(), STORY_SCHEMA.field("images").type.value_type


def write_column(folder: Path, name: str, kind: pa.DataType, value: Any) -> None:
    """A dataset of two stories, one column of which is of its own kind."""
    rows = [story_row(story_id, n_frames=2) | {name: value} for story_id in "ab"]
    schema = STORY_SCHEMA.set(STORY_SCHEMA.get_field_index(name), pa.field(name, kind))
    (folder / "data").mkdir(parents=True)
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, folder / "data" / "train-00000-of-00001.parquet")


@pytest.mark.parametrize(
    ("name", "kind", "value", "taken"),
    [
        ("story_id", pa.int64(), 7, "7"),
        ("story_id", pa.string_view(), "x", "x"),
        ("story_id", pa.dictionary(pa.int32(), STRING), "x", "x"),
        ("frame_count", pa.int32(), 2, 2),
        ("frame_count", pa.float64(), 2.0, 2),
        ("frame_count", pa.float64(), None, None),
        ("story", pa.list_(STRING), ["One.", None], ["One.", None]),
        ("story", pa.large_list(pa.large_string()), ["One."], ["One."]),
        ("images", pa.list_(pa.binary()), [b"x"], [{"bytes": b"x", "path": None}]),
        ("images", pa.large_list(IMAGE), [{"bytes": b"x"}], [{"bytes": b"x", "path": None}]),
        ("chain_of_thought", pa.null(), None, None),
    ],
)
def test_columns_are_cast_where_nothing_is_lost(
    tmp_path: Path, name: str, kind: pa.DataType, value: Any, taken: Any
) -> None:
    write_column(tmp_path, name, kind, value)
    rows = list(hub_stories(str(tmp_path), "main").rows["train"]())
    assert rows == [story_row(story_id, n_frames=2) | {name: taken} for story_id in "ab"]


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("frame_count", STRING, "2"),
        ("images", IMAGE, {"bytes": b"x" * 2**20, "path": None}),
        ("images", pa.list_(pa.int64()), [1]),
        ("story", pa.list_(pa.float64()), [1.0]),
        ("story_id", pa.float64(), 1.0),
    ],
)
def test_other_columns_are_refused_before_the_first_row(
    tmp_path: Path, name: str, kind: pa.DataType, value: Any
) -> None:
    write_column(tmp_path, name, kind, value)
    with pytest.raises(UserError, match=f"split train: column '{name}' is of type"):
        hub_stories(str(tmp_path), "main")


def test_files_that_disagree_with_the_first_end_in_one_sentence(tmp_path: Path) -> None:
    write_column(tmp_path, "images", pa.list_(pa.int64()), [1])
    (file,) = (tmp_path / "data").iterdir()
    file.rename(file.with_name("train-00001-of-00002.parquet"))
    write(tmp_path / "data" / "train-00000-of-00002.parquet", "a")
    rows = hub_stories(str(tmp_path), "main").rows["train"]()
    assert next(rows) == story_row("a", n_frames=2)
    with pytest.raises(UserError, match="does not hold what its description says"):
        list(rows)


def test_columns_that_nothing_needs_may_be_missing(tmp_path: Path) -> None:
    schema = STORY_SCHEMA.remove(3).remove(2)
    write(tmp_path / "data" / "train-00000-of-00001.parquet", "a", schema=schema)
    (row,) = hub_stories(str(tmp_path), "main").rows["train"]()
    assert row == story_row("a", n_frames=2, frame_count=None, chain_of_thought=None)


def test_other_splits_are_said_to_be_unused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub_layout(tmp_path)
    write(tmp_path / "data" / "validation-00000-of-00001.parquet", "v")
    source = hub_stories(str(tmp_path), "main")
    assert list(source.rows) == ["train", "test"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "splits that are not used (validation)" in line


def test_a_dataset_of_several_configurations_is_told_with_their_names(tmp_path: Path) -> None:
    for config in ("en", "de"):
        write(tmp_path / config / "train-00000-of-00001.parquet", config)
    (tmp_path / "README.md").write_text(
        "---\nlicense: cc-by-nd-4.0\nconfigs:\n"
        + "".join(
            f"- config_name: {config}\n  data_files:\n  - split: train\n"
            f"    path: {config}/train-*\n"
            for config in ("en", "de")
        )
        + "---\n"
    )
    with pytest.raises(UserError, match=r"has the configurations en, de; set dataset\.hub\.config"):
        hub_stories(str(tmp_path), "main")
    with pytest.raises(UserError, match=r"no configuration fr; set .* to one of en, de"):
        hub_stories(str(tmp_path), "main", "fr")
    source = hub_stories(str(tmp_path), "main", "de")
    assert [row["story_id"] for row in source.rows["train"]()] == ["de"]
    assert source.origin() == {
        "source": "hub",
        "repo": str(tmp_path),
        "license": "cc-by-nd-4.0",
        "config": "de",
    }


def test_images_by_path_are_read_beside_a_local_dataset(tmp_path: Path) -> None:
    write_column(tmp_path, "images", pa.list_(IMAGE), [{"bytes": None, "path": "pictures/x.jpg"}])
    rows = hub_stories(str(tmp_path), "main").rows["train"]
    for row in rows():
        assert row["images"][0]["bytes"] is None
        assert "pictures/x.jpg cannot be read (No such file" in row["images"][0]["path"]
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "x.jpg").write_bytes(b"jpeg")
    assert [row["images"][0]["bytes"] for row in rows()] == [b"jpeg", b"jpeg"]


@pytest.mark.parametrize("damage", ["cut", "zeros", "footer"])
def test_damaged_files_end_in_one_sentence(tmp_path: Path, damage: str) -> None:
    write(tmp_path / "data" / "train-00000-of-00001.parquet", "a", "b")
    (file,) = (tmp_path / "data").iterdir()
    data = bytearray(file.read_bytes())
    if damage == "cut":
        del data[-100:]
    elif damage == "zeros":
        data[4:300] = bytes(296)
    else:
        data[-200:-100] = bytes(100)
    file.write_bytes(data)
    with pytest.raises(UserError) as refused:
        list(hub_stories(str(tmp_path), "main").rows["train"]())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "card", ["---\n: [no yaml\n---\n", "---\n- a\n---\n", "---\nconfigs: 3\n---\n", "---\n\xe9"]
)
def test_a_card_that_cannot_be_read_ends_in_one_sentence(tmp_path: Path, card: str) -> None:
    hub_layout(tmp_path)
    (tmp_path / "README.md").write_bytes(card.encode("latin-1"))
    with pytest.raises(UserError, match="is no dataset of stories") as refused:
        hub_stories(str(tmp_path), "main")
    assert "\n" not in str(refused.value)
