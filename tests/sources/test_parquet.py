import hashlib
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.common.errors import UserError
from pipeline.sources.parquet import parquet_stories
from pipeline.stories.schema import STORY_SCHEMA, write_stories
from tests.stories.story_rows import encoded_image, story_row


def write(path: Path, *story_ids: str, schema: pa.Schema = STORY_SCHEMA, **changes: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [story_row(story_id, n_frames=2, **changes) for story_id in story_ids]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def ids(place: Path, split: str = "train") -> list[str]:
    return [row["story_id"] for row in parquet_stories(str(place), None).rows[split]()]


@pytest.mark.parametrize("place", ["folder", "folder/*.parquet", "folder/x.parquet"])
def test_a_folder_a_glob_or_a_file(tmp_path: Path, place: str) -> None:
    write(tmp_path / "folder" / "x.parquet", "a", "b")
    if not place.endswith("x.parquet"):
        write(tmp_path / "folder" / "y.parquet", "c")
    opened = parquet_stories(str(tmp_path / place), None).rows
    assert list(opened) == ["train"]
    wanted = "ab" if place.endswith("x.parquet") else "abc"
    assert list(opened["train"]()) == [story_row(name, n_frames=2) for name in wanted]


def test_every_file_is_checked_before_any_is_read(tmp_path: Path) -> None:
    write(tmp_path / "one" / "x.parquet", "a")
    write(tmp_path / "two" / "y.parquet", "b", schema=STORY_SCHEMA.remove(1))
    with pytest.raises(UserError, match=r"y\.parquet has no column 'images'"):
        parquet_stories(str(tmp_path / "one"), str(tmp_path / "two"))


def test_no_files_names_the_parameter(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.parquet\.train: no parquet files at"):
        parquet_stories(str(tmp_path / "*.parquet"), None)


def test_hidden_folders_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", "a")
    write(tmp_path / ".ipynb_checkpoints" / "x-checkpoint.parquet", "a")
    write(tmp_path / "deep" / ".cache" / "y.parquet", "b")
    write(tmp_path / ".z.parquet", "c")
    assert ids(tmp_path) == ["a"]


def test_files_of_another_split_are_no_training_stories(tmp_path: Path) -> None:
    for name in ("train", "test", "validation"):
        write(tmp_path / "data" / f"{name}-00000-of-00001.parquet", name)
    with pytest.raises(UserError) as refused:
        parquet_stories(str(tmp_path), None)
    message = str(refused.value)
    assert "dataset.parquet.train" in message
    assert "data/test-00000-of-00001.parquet, data/validation-00000-of-00001.parquet" in message
    assert "train-*.parquet" in message
    with pytest.raises(UserError, match=r"dataset\.parquet\.test: .* of another split"):
        parquet_stories(str(tmp_path / "data/train-*"), str(tmp_path / "data"))
    assert ids(tmp_path / "data" / "train-*.parquet") == ["train"]
    # what the parameter itself names is meant
    assert ids(tmp_path / "data" / "validation-*.parquet") == ["validation"]
    assert ids(tmp_path / "data" / "test-00000-of-00001.parquet") == ["test"]


@pytest.mark.parametrize("name", ["latest.parquet", "contest-1.parquet", "trainspotting.parquet"])
def test_words_that_merely_hold_the_name_of_a_split_are_none(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "a")
    assert ids(tmp_path) == ["a"]


def test_one_file_cannot_be_train_and_test(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", "a")
    with pytest.raises(UserError, match=r"x\.parquet is in train and in test"):
        parquet_stories(str(tmp_path), str(tmp_path / "*.parquet"))


def test_text_that_is_no_utf8_is_named_by_file_row_and_column(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([story_row("a"), story_row("b")], schema=STORY_SCHEMA)
    latin = pa.array([b"caf\xc3\xa9", b"caf\xe9"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 2, latin.buffers())
    pq.write_table(table.set_column(4, "story", text), tmp_path / "x.parquet")
    rows = parquet_stories(str(tmp_path), None).rows["train"]()
    assert next(rows)["story"] == "café"
    with pytest.raises(UserError, match=r"x\.parquet, row 1: column 'story' holds .* not UTF-8"):
        next(rows)


def test_the_origin_has_the_digest_of_every_file_that_was_read(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", "a")
    write(tmp_path / "y.parquet", "b")
    source = parquet_stories(str(tmp_path), None)
    next(source.rows["train"]())
    data = (tmp_path / "x.parquet").read_bytes()
    assert source.origin() == {
        "source": "parquet",
        "files": [
            {
                "split": "train",
                "name": "x.parquet",
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        ],
    }


@pytest.mark.parametrize("kind", ["struct", "text"])
def test_images_by_path_are_read_beside_the_file(tmp_path: Path, kind: str) -> None:
    (tmp_path / "data" / "pictures").mkdir(parents=True)
    (tmp_path / "data" / "pictures" / "1.jpg").write_bytes(encoded_image(1))
    place: Any = "pictures/1.jpg"
    schema = STORY_SCHEMA.set(1, pa.field("images", pa.list_(pa.string())))
    if kind == "struct":
        place, schema = {"bytes": None, "path": place}, STORY_SCHEMA
    write(tmp_path / "data" / "x.parquet", "a", schema=schema, images=[place])
    (row,) = parquet_stories(str(tmp_path / "data"), None).rows["train"]()
    assert row["images"] == [{"bytes": encoded_image(1), "path": "pictures/1.jpg"}]
    assert write_stories([row], tmp_path / "raw") == 1


def test_bytes_win_over_a_path_and_an_image_of_neither_stays(tmp_path: Path) -> None:
    images = [{"bytes": b"x", "path": "nowhere.jpg"}, {"bytes": None, "path": None}, None]
    write(tmp_path / "x.parquet", "a", images=images)
    (row,) = parquet_stories(str(tmp_path), None).rows["train"]()
    assert row["images"] == images


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../secret.jpg", "leads out of"),
        ("{outside}/secret.jpg", "leads out of"),
        ("link.jpg", "leads out of"),
        ("https://example.org/1.jpg", "is an address"),
        ("gone.jpg", "No such file or directory"),
        ("folder", "is no file"),
        ("pipe", "is no file"),
        ("nul\0.jpg", "cannot be read"),
        ("long/" * 200, "cannot be read"),
    ],
)
def test_images_elsewhere_are_no_images_and_say_why(tmp_path: Path, path: str, reason: str) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "data" / "folder").mkdir(parents=True)
    (tmp_path / "data" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    images = [{"bytes": b"x", "path": None}, {"bytes": None, "path": path.format(outside=tmp_path)}]
    os.mkfifo(tmp_path / "data" / "pipe")
    write(tmp_path / "data" / "x.parquet", "a", images=images)
    (row,) = parquet_stories(str(tmp_path / "data"), None).rows["train"]()
    kept, elsewhere = row["images"]
    assert kept == images[0]
    assert elsewhere["bytes"] is None
    assert reason in elsewhere["path"]
    assert len(elsewhere["path"]) <= 200
