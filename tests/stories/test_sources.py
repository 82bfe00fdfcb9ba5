from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.sources.hub import hub_stories
from pipeline.sources.parquet import parquet_stories
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
    """The layout of the revision that params.yaml pins: a folder for the config and the split."""
    write(tmp_path / "default" / "train" / "0000.parquet", "a", "b")
    write(tmp_path / "default" / "train" / "0001.parquet", "c")
    write(tmp_path / "default" / "test" / "0000.parquet", "d")
    opened = hub_stories(str(tmp_path), "main")
    assert [row["story_id"] for row in opened["train"]()] == ["a", "b", "c"]
    assert list(opened["test"]()) == [story_row("d", n_frames=2)]


@pytest.mark.parametrize("card", [CARD, None], ids=["with card", "without card"])
def test_a_folder_in_the_hubs_layout_keeps_the_encoded_bytes(
    tmp_path: Path, card: str | None
) -> None:
    folder = hub_layout(tmp_path / "stories")
    if card:
        (folder / "README.md").write_text(card)
    opened = hub_stories(str(folder), "main")
    assert list(opened) == ["train", "test"]
    assert list(opened["train"]()) == [story_row(name, n_frames=2) for name in "abc"]
    assert list(opened["test"]()) == [story_row("d", n_frames=2)]


def test_a_hub_dataset_without_a_column_is_no_dataset_of_stories(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train-00000-of-00001.parquet", "a", schema=STORY_SCHEMA.remove(4))
    with pytest.raises(UserError, match="has no column 'story' in its train split"):
        hub_stories(str(tmp_path), "main")


def test_a_hub_dataset_without_train_is_said(tmp_path: Path) -> None:
    write(tmp_path / "data" / "test-00000-of-00001.parquet", "a")
    with pytest.raises(UserError, match="has no train split, only test"):
        hub_stories(str(tmp_path), "main")


def test_an_empty_folder_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="sample or parquet"):
        hub_stories(str(tmp_path), "main")


@pytest.mark.parametrize("place", ["folder", "folder/*.parquet", "folder/x.parquet"])
def test_parquet_takes_a_folder_a_glob_or_a_file(tmp_path: Path, place: str) -> None:
    write(tmp_path / "folder" / "x.parquet", "a", "b")
    if not place.endswith("x.parquet"):
        write(tmp_path / "folder" / "y.parquet", "c")
    opened = parquet_stories(str(tmp_path / place), None)
    assert list(opened) == ["train"]
    wanted = "ab" if place.endswith("x.parquet") else "abc"
    assert list(opened["train"]()) == [story_row(name, n_frames=2) for name in wanted]


def test_every_parquet_file_is_checked_before_any_is_read(tmp_path: Path) -> None:
    write(tmp_path / "train" / "x.parquet", "a")
    write(tmp_path / "test" / "y.parquet", "b", schema=STORY_SCHEMA.remove(1))
    with pytest.raises(UserError, match=r"y\.parquet has no column 'images'"):
        parquet_stories(str(tmp_path / "train"), str(tmp_path / "test"))


def test_no_parquet_files_names_the_parameter(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.parquet\.train: no parquet files at"):
        parquet_stories(str(tmp_path / "*.parquet"), None)
