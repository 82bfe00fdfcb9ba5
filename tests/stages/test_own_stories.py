"""Stories of one's own, by every way in, through the whole line by plain commands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.common.files import read_json
from pipeline.stories.columns import CAPTIONS_SCHEMA
from tests.sources.story_files import line, write_folder, write_lines
from tests.stages.test_line import LINE
from tests.stories.story_rows import encoded_image

pytestmark = pytest.mark.slow

TINY = {
    "context__k": 2,
    "clip__precision": "float32",
    "fusion__d_model": 32,
    "fusion__layers": 1,
    "fusion__heads": 2,
    "decoder__n_prefix": 2,
    "prompt__max_target_tokens": 24,
    "prompt__max_sequence_tokens": 192,
    "train__epochs": 1,
    "train__batch_size": 8,
    "generate__max_new_tokens": 6,
}

STORIES = {
    f"{split} {n}": [f"Ann, {n}, {word} <gdi image1> # Dusk" for word in ("enters", "sits", "goes")]
    for split, number in (("train", 20), ("test", 3))
    for n in range(number)
}


def by_folder(root: Path) -> dict[str, Any]:
    for first, (story, captions) in enumerate(STORIES.items()):
        named = {f"{n}.jpg": caption for n, caption in zip((2, 9, 10), captions, strict=True)}
        write_folder(root / story.split()[0] / story, named, first=3 * first)
    return {"source": "folder", "folder__path": str(root)}


def by_jsonl(root: Path) -> dict[str, Any]:
    lines = []
    for first, (story, captions) in enumerate(STORIES.items()):
        write_folder(root / story, dict.fromkeys(("1.jpg", "2.jpg", "3.jpg")), first=3 * first)
        frames = [(f"{story}/{n}.jpg", caption) for n, caption in enumerate(captions, start=1)]
        lines.append(line(story, *frames, split=story.split()[0]))
    return {"source": "jsonl", "jsonl__path": str(write_lines(root / "stories.jsonl", *lines))}


def by_parquet(root: Path) -> dict[str, Any]:
    """With images by path: as text in one of the files, as a struct without bytes in the other."""
    paths = CAPTIONS_SCHEMA.set(1, pa.field("images", pa.list_(pa.string())))
    for split, schema in (("train", paths), ("test", CAPTIONS_SCHEMA)):
        rows = []
        for first, (story, captions) in enumerate(STORIES.items()):
            if story.startswith(split):
                names: list[Any] = [f"pictures/{story} {n}.jpg" for n in range(3)]
                for number, name in enumerate(names, start=3 * first):
                    (root / "pictures").mkdir(parents=True, exist_ok=True)
                    (root / name).write_bytes(encoded_image(number))
                if schema is CAPTIONS_SCHEMA:
                    names = [{"bytes": None, "path": name} for name in names]
                rows.append({"story_id": story, "images": names, "story": captions})
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), root / f"{split}.parquet")
    return {
        "source": "parquet",
        "parquet__train": str(root / "train.parquet"),
        "parquet__test": str(root / "test.parquet"),
    }


@pytest.mark.parametrize("way", [by_folder, by_jsonl, by_parquet])
def test_stories_of_ones_own_train_and_evaluate_a_model(
    tmp_path: Path,
    run_stage: Callable[..., Any],
    set_params: Callable[..., None],
    tiny_clip: Path,
    tiny_gpt2: Path,
    way: Callable[[Path], dict[str, Any]],
) -> None:
    dataset = {f"dataset__{key}": value for key, value in way(tmp_path / "mine").items()}
    models = {"clip__model": str(tiny_clip), "decoder__model": str(tiny_gpt2)}
    set_params(**TINY, **dataset, **models, evaluate__judge=None)
    for command in LINE.split("\n")[1:-1]:
        done = run_stage(*command.split())
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    summary = read_json(tmp_path / "summary.json")
    assert summary["kept"] == {"train": 20, "test": 3}
    assert read_json(tmp_path / "metrics.json")["test"]["stories"] == 3
    rows = read_json(tmp_path / "eval/metrics_full.json")["splits"]["test"]["rows"]
    assert "rouge_l" in rows["model"] and "entity_f1" not in rows["model"], (
        "nobody said who is there"
    )
    predictions = (tmp_path / "eval/predictions.jsonl").read_text("utf-8").splitlines()
    for record in map(json.loads, predictions):
        captions = STORIES[record["story_id"].removeprefix("test/")]
        assert [*record["context"], record["reference"]] == captions
