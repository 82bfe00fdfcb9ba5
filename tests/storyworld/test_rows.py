"""The sample's rows: StoryReasoning's schema, and the same bytes for the same seed."""

import hashlib
import io
import json
import re

import pyarrow as pa
from PIL import Image

from pipeline.stories.schema import STORY_SCHEMA
from pipeline.storyworld.rows import sample_rows, story_row
from tests.processes import python


def digest(row: dict) -> str:
    sha = hashlib.sha256(
        json.dumps([row["story_id"], row["story"], row["chain_of_thought"]]).encode()
    )
    for image in row["images"]:
        sha.update(image["bytes"])
    return sha.hexdigest()


def test_a_row_fits_the_schema_and_its_images_are_film_frames() -> None:
    row = story_row("7-00003")
    assert pa.Table.from_pylist([row], schema=STORY_SCHEMA).num_rows == 1
    assert list(row) == STORY_SCHEMA.names
    assert row["frame_count"] == len(row["images"])
    sizes = {Image.open(io.BytesIO(image["bytes"])).size for image in row["images"]}
    assert len(sizes) == 1
    width, height = sizes.pop()
    assert height == 240 and 393 <= width <= 581


def test_the_chain_of_thought_has_its_tables() -> None:
    row = story_row("7-00004")
    for i in range(1, row["frame_count"] + 1):
        assert f"## Image {i}\n" in row["chain_of_thought"]
    for heading in ("### Characters", "### Objects", "### Setting", "## Narrative Structure"):
        assert heading in row["chain_of_thought"]
    boxes = re.findall(r"\| (\d+),(\d+),(\d+),(\d+) \|\n", row["chain_of_thought"])
    assert len(boxes) >= 3 * row["frame_count"], "of a person, a thing and a place at least"
    width, height = Image.open(io.BytesIO(row["images"][0]["bytes"])).size
    for left, top, right, bottom in (map(int, box) for box in boxes):
        assert 0 <= left < right <= width and 0 <= top < bottom <= height


def test_a_seed_gives_the_same_bytes_in_another_process() -> None:
    """Also under another hash seed: nothing hangs on the order of a set."""
    program = (
        "from tests.storyworld.test_rows import digest; from pipeline.storyworld.rows import *;"
        "print(digest(next(sample_rows(3, 5, 'train'))))"
    )
    run = python("-c", program, PYTHONHASHSEED="77")
    assert run.stdout.strip() == digest(next(sample_rows(3, 5, "train")))


def test_seeds_differ_and_a_bigger_sample_begins_with_the_same_stories() -> None:
    small = [digest(row) for row in sample_rows(2, 1, "train")]
    large = [digest(row) for row in sample_rows(3, 1, "train")]
    assert large[: len(small)] == small
    assert not set(small) & {digest(row) for row in sample_rows(2, 2, "train")}


def test_the_split_is_85_to_15_and_many_processes_draw_what_one_does() -> None:
    train = list(sample_rows(30, 0, "train"))  # enough stories for a pool
    test = list(sample_rows(30, 0, "test"))
    ids = [row["story_id"] for row in train + test]
    assert (len(train), len(test)) == (26, 4)
    assert len(set(ids)) == 30
    assert [digest(row) for row in train[:3]] == [
        digest(story_row(row["story_id"])) for row in train[:3]
    ]
