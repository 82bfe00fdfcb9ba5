import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.prepare.catalogue import prepare
from pipeline.sources.jsonl import jsonl_stories
from pipeline.stories.frames import read_frames
from pipeline.stories.schema import write_stories
from tests.sources.story_files import line, write_lines
from tests.stories.story_rows import encoded_image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the pictures `p/0.jpg` to `p/2.jpg`, in a folder with a secret."""
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "data" / "p").mkdir(parents=True)
    for n in range(3):
        (tmp_path / "data" / "p" / f"{n}.jpg").write_bytes(encoded_image(n))
    return tmp_path / "data"


def read(path: Path, split: Any = "train") -> list[dict[str, Any]]:
    return list(jsonl_stories(str(path)).rows[split]())


def test_a_line_is_a_row_of_its_pictures_and_captions(folder: Path) -> None:
    path = write_lines(
        folder / "mine.jsonl",
        b"\xef\xbb\xbf" + json.dumps(line("s", ("p/1.jpg", "One."), ("p/0.jpg", None))).encode(),
        b"  ",
        line(7, (str(folder / "p" / "2.jpg"), "<gdi image2>")),
    )
    first, second = read(path)
    assert first == {
        "story_id": "s",
        "images": [
            {"bytes": encoded_image(1), "path": "p/1.jpg"},
            {"bytes": encoded_image(0), "path": "p/0.jpg"},
        ],
        "frame_count": 2,
        "chain_of_thought": None,
        "story": ["One.", None],
    }
    assert (second["story_id"], second["story"]) == ("7", ["<gdi image2>"])
    assert second["images"][0]["bytes"] == encoded_image(2)
    assert read(path, "test") == []


def test_splits_are_named_by_the_line_or_by_the_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = ("p/0.jpg", "One.")
    write_lines(folder / "test.jsonl", line("d", frame), line("e", frame, split="train"))
    path = write_lines(
        folder / "train.jsonl",
        line("a", frame, split="test"),
        line("b", frame, split=None),
        line("c", frame, split="val"),
        line("f", frame, split="val"),
    )
    assert [row["story_id"] for row in read(folder)] == ["b", "e"]
    assert [row["story_id"] for row in read(folder, "test")] == ["a", "d"]
    assert capsys.readouterr().err.count("line 3 is of split val: lines of it are not used") == 2
    assert [row["story_id"] for row in read(path, "test")] == ["a"]


LETTERS = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Cn"]), min_size=1)
TAGS = st.sampled_from(
    ["<gdi image2>", "</gdi>", "<gdo char1", "\n# Dusk\n", "\n---\n", "Image 2:"]
)


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(LETTERS | TAGS).map(lambda parts: f"A{''.join(parts)}"), min_size=1))
def test_any_caption_comes_out_of_prepare_as_it_went_in(folder: Path, texts: list[str]) -> None:
    story = line("s", *(("p/0.jpg", text) for text in texts))
    path, out = write_lines(folder / "x.jsonl", story), folder.parent / "out"
    write_stories(jsonl_stories(str(path)).rows["train"](), out / "raw" / "train")
    names = ("frames.parquet", "annotations.parquet", "summary.json", "refused.jsonl", "plots")
    prepare(out / "raw", *(out / name for name in names))
    captions = read_frames(out / "frames.parquet", ["caption"])["caption"].to_pylist()
    assert captions == [" ".join(text.split()) for text in texts]


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        ({"image": "p/9.jpg", "caption": "x"}, "p/9.jpg cannot be read (No such file"),
        ({"image": "../secret.jpg", "caption": "x"}, "leads out of the dataset's folder"),
        ({"image": "/etc/passwd", "caption": "x"}, "leads out of the dataset's folder"),
        ({"image": "https://example.org/1.jpg", "caption": "x"}, "is an address"),
        ({"image": "p", "caption": "x"}, "p is no file"),
        ({"image": "\ud800.jpg", "caption": "x"}, r"\ud800.jpg cannot be read"),
        ({"image": "p/0.jpg", "caption": ["x"]}, "the caption of frame 2 is no text"),
        ({"image": "p/0.jpg", "caption": "\udc00"}, "the caption of frame 2 is no text"),
        ({"caption": "x"}, 'frame 2 is not {"image"'),
        ("p/0.jpg", 'frame 2 is not {"image"'),
    ],
)
def test_a_frame_that_cannot_be_had_says_why(folder: Path, frame: Any, why: str) -> None:
    story = {"story_id": "s", "frames": [{"image": "p/0.jpg", "caption": "One."}, frame]}
    ((row, after)) = read(write_lines(folder / "x.jsonl", story, line("t", ("p/0.jpg", "One."))))
    sound, bad = row["images"]
    assert sound["bytes"] == encoded_image(0)
    assert bad["bytes"] is None
    assert why in bad["path"]
    assert after["images"] == [{"bytes": encoded_image(0), "path": "p/0.jpg"}]


@pytest.mark.parametrize("frames", [None, "p/0.jpg", {"image": "p/0.jpg"}])
def test_a_story_without_frames_is_set_aside_by_its_name(folder: Path, frames: Any) -> None:
    (row,) = read(write_lines(folder / "x.jsonl", {"story_id": "\ud800", "frames": frames}))
    assert row["story_id"] == r"\ud800"
    assert row["images"][0]["path"].endswith("x.jsonl, line 1 has no list of frames")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b'{"story_id": "s", "frames": [', "line 2 is no JSON"),
        (b'{"story_id": "caf\xe9", "frames": []}', "line 2 is no JSON"),
        (b"[" * 100_000, "line 2 is no JSON"),
        (b'"s"', "line 2 has no story_id"),
        (b'{"frames": []}', "line 2 has no story_id"),
        (b'{"story_id": "", "frames": []}', "line 2 has no story_id"),
        (b'{"story_id": true, "frames": []}', "line 2 has no story_id"),
    ],
)
def test_a_line_that_names_no_story_is_refused_by_its_number(
    folder: Path, bad: bytes, why: str
) -> None:
    path = write_lines(folder / "x.jsonl", line("s", ("p/0.jpg", "One.")), bad)
    rows = jsonl_stories(str(path)).rows["train"]()
    assert next(rows)["story_id"] == "s"
    with pytest.raises(UserError, match=why):
        next(rows)


def test_no_file_names_the_parameter(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.jsonl", tmp_path):
        with pytest.raises(UserError, match=r"dataset\.jsonl\.path: .* is no file"):
            jsonl_stories(str(path))


def test_the_origin_knows_the_lines_and_the_pictures(folder: Path) -> None:
    def origin(caption: str) -> dict[str, Any]:
        path = write_lines(folder / "x.jsonl", line("s", ("p/0.jpg", caption)))
        source = jsonl_stories(str(path))
        list(source.rows["train"]())
        sizes = [place.stat().st_size for place in (path, folder / "p" / "0.jpg")]
        assert source.origin()["bytes"] == sum(sizes)
        return source.origin()

    one, same, other = origin("One."), origin("One."), origin("Two.")
    assert (one["source"], one["files_read"]) == ("jsonl", 2)
    assert one == same
    (folder / "p" / "0.jpg").write_bytes(encoded_image(5))
    assert len({one["sha256"], other["sha256"], origin("One.")["sha256"]}) == 3
