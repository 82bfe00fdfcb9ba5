"""The converters of docs/datasets.md, as they stand there, on annotations of their shape."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.sources.jsonl import jsonl_stories
from tests.stories.story_rows import encoded_image

TEXT = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text("utf-8")
CONVERTERS = dict(
    zip(
        ("vist", "vwp", "storyframes"),
        re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE),
        strict=True,
    )
)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def converted(code: str) -> dict[str, list[tuple[str, list[str], list[bool]]]]:
    """Per split: of each story the id, the captions, and whether the pictures were found."""
    exec(compile(code, "docs/datasets.md", "exec"), {})
    source = jsonl_stories("stories.jsonl")
    return {
        split: [
            (row["story_id"], row["story"], [image["bytes"] is not None for image in row["images"]])
            for row in rows()
        ]
        for split, rows in source.rows.items()
    }


def picture(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(encoded_image())


def test_vist() -> None:
    def step(story: str, photo: str, order: int) -> list[dict[str, Any]]:
        text = {"original_text": f"Photo {photo}.", "text": f"photo {photo} ."}
        place = {"photo_flickr_id": photo, "worker_arranged_photo_order": order}
        return [
            {"story_id": story, "album_id": "1", "setting": "first-2-pick-and-tell"} | text | place
        ]

    Path("sis").mkdir()
    for split, steps in (
        ("train", [step("7", "b", 1), step("8", "a", 0), step("7", "a", 0), step("7", "gone", 2)]),
        ("test", [step("9", "c", 0)]),
    ):
        annotations = {"images": [], "annotations": steps}
        Path(f"sis/{split}.story-in-sequence.json").write_text(json.dumps(annotations))
    for name in ("train/a.jpg", "train/b.png", "test/c.jpg"):
        picture(f"images/{name}")
    assert converted(CONVERTERS["vist"]) == {
        "train": [
            ("7", ["Photo a.", "Photo b.", "Photo gone."], [True, True, False]),
            ("8", ["Photo a."], [True]),
        ],
        "test": [("9", ["Photo c."], [True])],
    }


def test_visual_writing_prompts() -> None:
    for split in ("train", "test"):
        rows = []
        for stories in ("One, she said.[SENT] Two.", "One.[SENT]"):
            row = {"scene_full_id": "tt1_2", "story": "One.", "sep_story": stories}
            row |= {f"link{n}": "" for n in range(10)}
            for n in range(stories.count(".")):
                row[f"link{n}"] = f"https://example.org/shots/tt1/{n}.jpg?x=1"
                picture(f"images/shots/tt1/{n}.jpg")
            rows.append(row)
        with open(f"vwp_v2.1_{split}.csv", "w", newline="") as table:
            writer = csv.DictWriter(table, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    found = converted(CONVERTERS["vwp"])
    for split in ("train", "test"):
        assert found[split] == [
            (f"{split} 0", ["One, she said.", " Two."], [True, True]),
            (f"{split} 1", ["One.", None], [True, False]),
        ]


def test_storyframes(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {
            "story_id": datasets.Value("string"),
            "sentence_parts": datasets.List(datasets.Value("string")),
            "scenes": datasets.List(datasets.List(datasets.Image())),
        }
    )
    for split in ("train", "validation"):
        image = {"bytes": encoded_image(), "path": None}
        row = {"story_id": f"{split} 1", "sentence_parts": ["One.", "Two."]}
        row["scenes"] = [[image, image, image], [image]]
        rows = datasets.Dataset.from_list([row], features=features)
        (tmp_path / "published").mkdir(exist_ok=True)
        rows.to_parquet(tmp_path / "published" / f"{split}-00000-of-00001.parquet")
    code = CONVERTERS["storyframes"]
    assert "ingoziegler/StoryFrames" in code
    frames = ["One.", "Two."], [True, True]
    assert converted(code.replace("ingoziegler/StoryFrames", str(tmp_path / "published"))) == {
        "train": [("train 1", *frames)],
        "test": [("validation 1", *frames)],
    }
