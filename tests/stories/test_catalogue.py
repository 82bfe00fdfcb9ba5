import io
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from pipeline.errors import UserError
from pipeline.files import read_json
from pipeline.stories.catalogue import prepare
from pipeline.stories.frames import FRAMES_SCHEMA, content_key, read_frames
from pipeline.stories.schema import iter_stories, write_stories
from tests.stories.story_rows import encoded_image, story_row


def run(folder: Path, train: list[dict[str, Any]], test: list[dict[str, Any]]) -> Path:
    """Write the stories as raw files of three, prepare them, and return the folder of results."""
    write_stories(train, folder / "raw" / "train", rows_per_file=3)
    write_stories(test, folder / "raw" / "test", rows_per_file=3)
    out = folder / "stories"
    prepare(
        folder / "raw",
        out / "frames.parquet",
        out / "summary.json",
        out / "quarantine.jsonl",
        out / "plots",
    )
    return out


def quarantine(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]


def test_a_row_per_frame_says_where_its_image_is(tmp_path: Path) -> None:
    train = [story_row(f"a{n}", n_frames=2 + n) for n in range(5)]
    out = run(tmp_path, train, [story_row("b", n_frames=3)])
    table = read_frames(out / "frames.parquet")
    assert table.schema.equals(FRAMES_SCHEMA)
    rows = table.to_pylist()
    assert [row["story_id"] for row in rows] == [
        *(f"a{n}" for n in range(5) for _ in range(2 + n)),
        *("b" for _ in range(3)),
    ]
    raw = {(name, number): row for name, number, row in iter_stories(tmp_path / "raw")}
    for row in rows:
        story = raw[row["image_file"], row["image_row"]]
        assert row["story_id"] == story["story_id"]
        assert row["split"] == row["image_file"].split("/")[0]
        assert row["n_frames"] == len(story["images"])
        assert row["image_index"] == row["frame_index"]
        assert row["image_key"] == content_key(story["images"][row["image_index"]]["bytes"])
        assert row["caption"] == f"Frame {row['frame_index'] + 1} of {row['story_id']} tells it."
        assert row["caption_key"] == content_key(row["caption"].encode())
    assert quarantine(out) == []


def broken(kind: str) -> dict[str, Any]:
    """A row that is wrong in one way."""
    sound = story_row(kind, n_frames=3)
    images = sound["images"]
    cut = encoded_image()[:-200]
    changes: dict[str, dict[str, Any]] = {
        "no_frames": {"images": [], "frame_count": 0},
        "frame_count": {"frame_count": 4},
        "null count": {"frame_count": None},
        "null story": {"story": None},
        "null images": {"images": None},
        "garbage": {"images": [*images[:2], {"bytes": b"no image", "path": None}]},
        "cut off": {"images": [images[0], {"bytes": cut, "path": None}, images[2]]},
        "no bytes": {"images": [*images[:2], {"bytes": None, "path": "x.jpg"}]},
        "null image": {"images": [*images[:2], None]},
        "empty_caption": {"story": "<gdi image1>a</gdi><gdi image2> </gdi><gdi image3>c"},
    }
    return sound | changes[kind]


@pytest.mark.parametrize(
    ("kind", "reason", "detail"),
    [
        ("no_frames", "no_frames", "empty"),
        ("frame_count", "frame_count", "frame_count 4, 3 images"),
        ("null count", "null_field", "frame_count"),
        ("null story", "null_field", "story"),
        ("null images", "null_field", "images"),
        ("garbage", "image", "image 3"),
        ("cut off", "image", "image 2"),
        ("no bytes", "image", "image 3 has no bytes"),
        ("null image", "image", "image 3 has no bytes"),
        ("empty_caption", "empty_caption", "frame 2 of 3"),
    ],
)
def test_what_cannot_be_used_is_refused_and_the_rest_goes_on(
    tmp_path: Path, kind: str, reason: str, detail: str
) -> None:
    rows = [story_row("first"), broken(kind), story_row("last")]
    out = run(tmp_path, rows, [])
    (refused,) = quarantine(out)
    assert {key: refused[key] for key in ("story_id", "split", "row", "kind")} == {
        "story_id": kind,
        "split": "train",
        "row": 1,
        "kind": reason,
    }
    assert refused["reason"].endswith(".")
    assert detail in refused["detail"]
    kept = read_frames(out / "frames.parquet", ["story_id"])["story_id"].unique().to_pylist()
    assert kept == ["first", "last"]
    summary = read_json(out / "summary.json")
    assert summary["quarantined"]["total"] == summary["quarantined"][reason] == 1


def test_other_formats_and_modes_are_sound(tmp_path: Path) -> None:
    forms = ["PNG", "WEBP", "BMP", "GIF", "TIFF"]
    images = [{"bytes": encoded_image(form=form), "path": None} for form in forms]
    out = run(tmp_path, [story_row("s", n_frames=5, images=images)], [])
    assert quarantine(out) == []


def test_sizes_are_those_of_the_upright_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    file = io.BytesIO()
    Image.new("RGB", (480, 320)).save(file, "JPEG", exif=exif)
    out = run(tmp_path, [story_row("s", images=[{"bytes": file.getvalue(), "path": None}] * 5)], [])
    table = read_json(out / "summary.json")
    assert table["image_width"] == {"min": 320, "mean": 320, "max": 320}
    assert table["image_height"]["max"] == 480


def test_an_id_is_taken_once_over_both_splits(tmp_path: Path) -> None:
    train = [story_row("a"), story_row("b"), story_row("a", n_frames=7), story_row("c")]
    out = run(tmp_path, train, [story_row("d"), story_row("b")])
    assert [(row["split"], row["row"], row["kind"]) for row in quarantine(out)] == [
        ("train", 2, "duplicate_id"),
        ("test", 1, "duplicate_id"),
    ]
    summary = read_json(out / "summary.json")
    assert summary["duplicates"] == 2
    assert summary["stories"] == {"train": 4, "test": 2}
    assert summary["kept"] == {"train": 3, "test": 1}


def test_the_summary_agrees_with_figures_worked_out_directly(tmp_path: Path) -> None:
    lengths = [5, 6, 6, 9, 13, 20]
    train = [story_row(f"s{n}", n_frames=frames) for n, frames in enumerate(lengths)]
    wide = [{"bytes": encoded_image(n, size=(96, 30)), "path": None} for n in range(5)]
    words = "".join(f"<gdi image{n}>{'word ' * n}</gdi>" for n in range(1, 6))
    train.append(story_row("wide", images=wide, story=words))
    train.append(story_row("wrong", frame_count=1))
    table = read_json(run(tmp_path, train, [story_row("t")]) / "summary.json")

    frames = [*lengths, 5, 5]
    assert table["stories"] == {"train": 8, "test": 1}
    assert table["columns"] == 5
    assert table["frame_count_valid"] == round(8 / 9, 4)
    assert table["frames"] == sum(frames)
    assert table["frames_per_story"] == {
        "mean": pytest.approx(statistics.mean(frames), abs=1e-4),
        "median": statistics.median(frames),
        "min": 5,
        "max": 20,
    }
    counts = [6] * (sum(lengths) + 5) + [1, 2, 3, 4, 5]
    assert table["words_per_caption"] == {
        "mean": pytest.approx(statistics.mean(counts), abs=1e-4),
        "variance": pytest.approx(statistics.pvariance(counts), abs=1e-4),
    }
    widths = [48] * (sum(lengths) + 5) + [96] * 5
    assert table["image_width"] == {
        "min": 48,
        "mean": pytest.approx(statistics.mean(widths), abs=1e-4),
        "max": 96,
    }
    assert table["image_height"]["max"] == 30


def test_the_same_stories_give_the_same_bytes(tmp_path: Path) -> None:
    rows = [story_row(f"s{n}") for n in range(20)] + [broken("cut off")]
    one, two = (run(tmp_path / name, rows, [story_row("t")]) for name in ("one", "two"))
    plots = [f"plots/{path.name}" for path in (one / "plots").iterdir()]
    assert len(plots) == 6
    for file in ("frames.parquet", "summary.json", "quarantine.jsonl", *plots):
        assert (one / file).read_bytes() == (two / file).read_bytes()


def test_no_story_that_can_be_used_is_an_error_and_the_quarantine_tells_why(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"0 of 1 stories kept, 1 refused \(1 frame_count\)"):
        run(tmp_path, [broken("frame_count")], [])
    assert len(quarantine(tmp_path / "stories")) == 1


def test_files_outside_the_splits_are_an_error(tmp_path: Path) -> None:
    write_stories([story_row("s")], tmp_path / "raw")
    with pytest.raises(UserError, match="neither in"):
        run(tmp_path, [story_row("t")], [])
