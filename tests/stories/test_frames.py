from pathlib import Path

import pytest

from pipeline.common.errors import UserError
from pipeline.common.parquet import ROWS_PER_GROUP
from pipeline.stories.frames import (
    FRAMES_SCHEMA,
    content_key,
    read_frames,
    writing_frames,
)


def test_content_key_is_sha256() -> None:
    # the test vector of FIPS 180-4 for "abc"
    assert content_key(b"abc").hex() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_more_frames_than_a_row_group_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "frames.parquet"
    count = 2 * ROWS_PER_GROUP + 10
    rows = [
        {"story_id": "s", "frame_index": index, "n_frames": count, "image_key": bytes(32)}
        for index in range(count)
    ]
    with writing_frames(path) as table:
        for start in range(0, count, 1000):
            table.add(rows[start : start + 1000])
        assert not path.exists()
    read = read_frames(path)
    assert read.schema.equals(FRAMES_SCHEMA)
    assert read["frame_index"].to_pylist() == list(range(count))
    last = read_frames(path, ["story_id"], {"frame_index": [count - 1]})
    assert last.to_pylist() == [{"story_id": "s"}]


def test_missing_or_foreign_files_are_said(tmp_path: Path) -> None:
    path = tmp_path / "frames.parquet"
    with pytest.raises(UserError, match="is missing; run the prepare stage"):
        read_frames(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="cannot be read as parquet"):
        read_frames(path)
    with writing_frames(path):
        pass
    with pytest.raises(UserError, match="has no column colour"):
        read_frames(path, ["story_id", "colour"])
