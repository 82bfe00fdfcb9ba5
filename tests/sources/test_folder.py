import os
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.common.errors import UserError
from pipeline.images.pixels import FORMATS
from pipeline.sources.folder import PICTURES, folder_stories
from pipeline.stories.schema import iter_stories, write_stories
from tests.sources.story_files import write_folder
from tests.stories.story_rows import encoded_image


def read(root: Path, split: Any = "train") -> list[dict[str, Any]]:
    return list(folder_stories(str(root)).rows[split]())


def captions(root: Path) -> dict[str, Any]:
    return {row["story_id"]: row["story"] for row in read(root)}


def fault(root: Path) -> str:
    """Why the only frame that cannot be read cannot be."""
    (row,) = read(root)
    (why,) = [image["path"] for image in row["images"] if image["bytes"] is None]
    return str(why)


def test_a_story_is_a_row_of_its_pictures_and_captions(tmp_path: Path) -> None:
    write_folder(tmp_path / "a walk", {"1.jpg": "One.", "2.jpg": " <gdi image1> # Two\n"})
    (row,) = read(tmp_path)
    assert row == {
        "story_id": "a walk",
        "images": [{"bytes": encoded_image(n), "path": f"a walk/{n + 1}.jpg"} for n in range(2)],
        "frame_count": 2,
        "chain_of_thought": None,
        "story": ["One.", " <gdi image1> # Two\n"],
    }
    assert write_stories([row], tmp_path / "raw") == 1
    assert [read for _, _, read in iter_stories(tmp_path / "raw")] == [row]


def test_stories_are_read_one_by_one(tmp_path: Path) -> None:
    for story in ("1", "2"):
        write_folder(tmp_path / story, {"1.jpg": "One."})
    rows = folder_stories(str(tmp_path)).rows["train"]()
    assert next(rows)["images"][0]["bytes"]
    (tmp_path / "2" / "1.jpg").unlink()
    assert next(rows)["images"] == []


@pytest.mark.parametrize("name", ["x" * 200, "\u3000a\u200db", b"caf\xe9".decode(errors="replace")])
def test_a_storys_id_is_its_folders_name(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path / name, {"1.jpg": "One."})
    assert list(captions(tmp_path)) == [name]


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text")
def test_a_name_that_is_no_text_is_escaped(tmp_path: Path) -> None:
    write_folder(tmp_path / os.fsdecode(b"caf\xe9"), {os.fsdecode(b"\xe9.jpg"): "One."})
    (row,) = read(tmp_path)
    assert row["story_id"] == r"caf\udce9"
    assert row["story"] == ["One."]
    assert write_stories([row], tmp_path / "raw") == 1
    assert len(folder_stories(str(tmp_path)).origin()["sha256"]) == 64


def test_names_are_counted_as_people_do(tmp_path: Path) -> None:
    for story in ("10", "2", "b", "A1", "a"):
        write_folder(tmp_path / story, {f"{n}.JPG": f"{n}" for n in ("10", "9", "b2", "B10", "1")})
    stories = captions(tmp_path)
    assert list(stories) == ["2", "10", "a", "A1", "b"]
    assert stories["2"] == ["1", "9", "10", "b2", "B10"]


def test_hidden_and_foreign_files_are_passed_over(tmp_path: Path) -> None:
    story = write_folder(tmp_path / "s", {"1.png": "One."})
    write_folder(tmp_path / ".cache", {"1.jpg": "No."})
    for name in (".1.jpg", "._1.png", "Thumbs.db", "notes.md", "1.jpg.txt"):
        (story / name).write_bytes(b"\0")
    (story / "deeper").mkdir()
    assert captions(tmp_path) == {"s": ["One."]}


def test_every_ending_of_the_formats_that_are_read_is_a_pictures() -> None:
    Image.init()
    assert {end for end, form in Image.EXTENSION.items() if form in FORMATS} <= PICTURES


def test_train_and_test_may_stand_above(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for story in ("train/a", "train/b", "test/a", "val/c"):
        write_folder(tmp_path / story, {"1.jpg": story})
    source = folder_stories(str(tmp_path))
    rows = {split: [row["story"] for row in rows()] for split, rows in source.rows.items()}
    assert rows == {"train": [["train/a"], ["train/b"]], "test": [["test/a"]]}
    assert "not used (val)" in capsys.readouterr().err


def test_a_story_may_be_called_train(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", {"1.jpg": "It leaves."})
    assert captions(tmp_path) == {"train": ["It leaves."]}


TABLES = {
    "captions.txt": 'One.\r\nTwo, "three".\n\n',
    "captions.csv": 'image,caption\n2.jpg,"Two, ""three""."\r\n1.jpg,One.\n',
    "Captions.CSV": '\ufeffcaption;image;who\nOne.;1.jpg;me\n"Two, ""three"".";2.jpg;\n',
    "captions.jsonl": '{"caption": "Two, \\"three\\".", "image": "2.jpg"}\n\n'
    '{"image": "1.jpg", "caption": "One."}',
}


@pytest.mark.parametrize("name", TABLES)
def test_captions_may_stand_in_one_file(tmp_path: Path, name: str) -> None:
    story = write_folder(tmp_path / "s", {"1.jpg": "not this", "2.jpg": None})
    (story / name).write_bytes(TABLES[name].encode())
    (row,) = read(tmp_path)
    assert [text.strip() for text in row["story"]] == ["One.", 'Two, "three".']


def test_accents_that_are_composed_elsewhere_are_the_same_name(tmp_path: Path) -> None:
    story = write_folder(tmp_path / "s", {"e\u0301te.jpg": None})
    (story / "captions.csv").write_text("image,caption\n\u00e9te.jpg,Warm.\n", "utf-8")
    assert captions(tmp_path) == {"s": ["Warm."]}


def test_a_picture_without_a_caption_has_none(tmp_path: Path) -> None:
    write_folder(tmp_path / "beside", {"1.jpg": "One.", "2.jpg": None})
    story = write_folder(tmp_path / "listed", {"1.jpg": None, "2.jpg": None})
    (story / "captions.csv").write_text("image,caption\n1.jpg,One.\n2.jpg\n")
    (tmp_path / "none").mkdir()
    assert captions(tmp_path) == {"beside": ["One.", None], "listed": ["One.", None], "none": []}


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("2.txt", b"caf\xe9", "s/2.txt is not UTF-8 text"),
        ("captions.txt", b"One.\n", "captions.txt has not a line for each picture (1 for 2)"),
        ("captions.csv", b"file,text\n", "needs the columns image and caption, and has file, text"),
        ("captions.csv", b"", "needs the columns image and caption, and has none"),
        ("captions.csv", b"image,caption\n1.jpg,One, two\n", "line 2 has not as many values"),
        ("captions.csv", b"image,caption\n3.jpg,Three.\n", "names 3.jpg, which is not there"),
        ("captions.jsonl", b'{"image": "1.jpg"}\n{"image": "1.jpg"}', "names 1.jpg twice"),
        ("captions.jsonl", b'{"image": "1.jpg"}\n{"ima', "captions.jsonl, line 2 is not"),
        ("captions.jsonl", b'["1.jpg"]', "captions.jsonl, line 1 is not"),
        ("captions.jsonl", b'{"image": "1.jpg", "caption": 1}', "captions.jsonl, line 1 is not"),
        ("captions.jsonl", rb'{"image": "1.jpg", "caption": "\ud800"}', "line 1 is not"),
    ],
)
def test_captions_that_cannot_be_read_say_why(
    tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    story = write_folder(tmp_path / "s", {"1.jpg": "One.", "2.jpg": "Two."})
    (story / name).write_bytes(content)
    assert why in fault(tmp_path)


def test_two_files_of_captions_are_one_too_many(tmp_path: Path) -> None:
    story = write_folder(tmp_path / "s", {"1.jpg": "One."})
    for name in ("captions.csv", "captions.txt"):
        (story / name).write_text("One.")
    assert fault(tmp_path) == "captions.csv and captions.txt are there; leave one"


def test_nothing_outside_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    mine = tmp_path / "mine"
    for story, ending in (("picture", "jpg"), ("caption", "txt")):
        write_folder(mine / story, {"1.jpg": "One."})
        (mine / story / f"1.{ending}").unlink()
        (mine / story / f"1.{ending}").symlink_to(tmp_path / "secret.txt")
    write_folder(tmp_path / "outside", {"1.jpg": "One."})
    (mine / "story").symlink_to(tmp_path / "outside")
    (mine / "within").symlink_to(mine / "picture")
    for row in read(mine):
        (image,) = row["images"]
        assert image["bytes"] is None
        assert "leads out of the dataset's folder" in image["path"]
        assert row["story"] == [None] or row["story_id"] in ("picture", "within")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="rights of POSIX")
def test_a_folder_that_may_not_be_read_is_set_aside(tmp_path: Path) -> None:
    write_folder(tmp_path / "s", {"1.jpg": "One."}).chmod(0)
    assert "Permission denied" in fault(tmp_path)


def test_a_folder_of_no_stories_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.folder\.path: there is no folder"):
        folder_stories(str(tmp_path / "gone"))
    write_folder(tmp_path / "alone", {"1.jpg": "One."})
    with pytest.raises(UserError, match="into a folder of its own"):
        folder_stories(str(tmp_path / "alone"))


def test_the_origin_sums_up_what_was_read_wherever_it_lies(tmp_path: Path) -> None:
    def origin(name: str, caption: str) -> dict[str, Any]:
        write_folder(tmp_path / name / "s", {"1.jpg": caption})
        source = folder_stories(str(tmp_path / name))
        list(source.rows["train"]())
        return source.origin()

    one, same, other = origin("x", "One."), origin("y", "One."), origin("z", "Two.")
    assert one["source"] == "folder"
    assert (one["files_read"], one["bytes"]) == (2, len(encoded_image(0)) + 4)
    assert one == same
    assert one["sha256"] != other["sha256"]
