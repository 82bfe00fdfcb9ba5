"""The stages download, prepare and split, as DVC runs them."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.common.files import read_json
from pipeline.stories.frames import read_frames
from pipeline.stories.schema import count_stories, iter_stories, write_stories
from tests.hub_server import Repository, serving
from tests.stories.story_rows import encoded_image, story_row

RunStage = Callable[..., subprocess.CompletedProcess[str]]
SetParams = Callable[..., None]

PREPARE = (
    "prepare --raw data/raw --frames data/stories/frames.parquet "
    "--annotations data/stories/annotations.parquet "
    "--summary data/stories/summary.json --quarantine data/stories/quarantine.jsonl "
    "--plots data/stories/plots"
).split()
SPLIT = "split --frames data/stories/frames.parquet --out data/stories/splits.json".split()
DOWNLOAD = "download --out data/raw".split()


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one `error:` line of a stage that refused to go on."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = re.findall(r"^error: .*$", done.stderr, re.MULTILINE)
    return str(line)


def succeed(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_sample_goes_through_the_line_and_is_reproducible(
    tmp_path: Path, run_stage: RunStage, set_params: SetParams
) -> None:
    set_params(dataset__sample__stories=10, dataset__limit_stories=2, context__k=2)
    succeed(run_stage(*DOWNLOAD))
    files = sorted((tmp_path / "data" / "raw").rglob("*.*"))
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "data/raw/source.json",
        "data/raw/test/00000.parquet",
        "data/raw/train/00000.parquet",
    ]
    before = [file.read_bytes() for file in files]
    succeed(run_stage(*DOWNLOAD))
    assert [file.read_bytes() for file in files] == before

    done = run_stage(*PREPARE)
    succeed(done)
    assert re.search(r"^prepare: (\d) of \1 stories kept, 0 refused", done.stderr, re.MULTILINE)
    summary = read_json(tmp_path / "data/stories/summary.json")
    assert summary["columns"] == 5
    assert summary["dataset"] == {"source": "sample", "stories": 10, "seed": 2024}
    succeed(run_stage(*SPLIT))
    splits = read_json(tmp_path / "data/stories/splits.json")
    ids = set(read_frames(tmp_path / "data/stories/frames.parquet")["story_id"].to_pylist())
    assert {name for part in ("train", "val", "test") for name in splits[part]} == ids


def test_parquet_of_ones_own_is_limited_and_what_is_wrong_is_set_aside(
    tmp_path: Path, run_stage: RunStage, set_params: SetParams
) -> None:
    rows = [story_row(f"s{n}") for n in range(5)] + [story_row("s0"), story_row("late")]
    write_stories(rows, tmp_path / "mine", rows_per_file=2)
    set_params(
        dataset__source="parquet",
        dataset__parquet__train="mine/*.parquet",
        dataset__limit_stories=6,
        split__test="carved",
    )
    succeed(run_stage(*DOWNLOAD))
    assert count_stories(tmp_path / "data/raw") == 6
    done = run_stage(*PREPARE)
    succeed(done)
    assert "prepare: 5 of 6 stories kept, 1 refused (1 duplicate_id)" in done.stderr
    origin = read_json(tmp_path / "data/stories/summary.json")["dataset"]
    assert origin["source"] == "parquet"
    assert re.fullmatch("[0-9a-f]{64}", origin["sha256"])
    (line,) = (tmp_path / "data/stories/quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["row"] == 5
    succeed(run_stage(*SPLIT))

    set_params(split__test="official")
    assert "set split.test to carved" in error_line(run_stage(*SPLIT))


def test_prepare_warns_of_what_train_and_test_share_and_cuts_where_asked(
    tmp_path: Path, run_stage: RunStage, set_params: SetParams
) -> None:
    bad = story_row("bad")
    bad["images"][4] = {"bytes": b"no image", "path": None}
    write_stories([story_row("0"), story_row("1"), bad], tmp_path / "data/raw/train")
    write_stories([story_row("0"), story_row("1", n_frames=6)], tmp_path / "data/raw/test")
    set_params()
    done = run_stage(*PREPARE)
    succeed(done)
    assert "warning: 1 of the test stories kept are train stories too" in done.stderr
    assert "prepare: 4 of 5 stories kept, 1 refused (1 image), 2 named split/id" in done.stderr

    set_params(dataset__bad_frame="cut")
    done = run_stage(*PREPARE)
    succeed(done)
    assert "prepare: 5 of 5 stories kept, 0 refused, 1 cut before a bad frame" in done.stderr
    lengths = read_frames(tmp_path / "data/stories/frames.parquet", None, {"frame_index": [0]})
    assert dict(
        zip(*(lengths[name].to_pylist() for name in ("story_id", "n_frames")), strict=True)
    ) == {
        "0": 5,
        "1": 5,
        "bad": 4,
        "test/0": 5,
        "test/1": 6,
    }


def test_what_is_no_picture_to_read_or_too_large_is_set_aside_with_its_reason(
    tmp_path: Path, run_stage: RunStage, set_params: SetParams
) -> None:
    wrong = {
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{ } loop\n",
        "heic": b"\0\0\0\x24ftypheic" + bytes(99),
        "large": encoded_image(size=(1200, 1000), form="PNG"),
    }
    rows = [story_row("sound")] + [
        story_row(name, images=[{"bytes": data, "path": None}] * 5) for name, data in wrong.items()
    ]
    write_stories(rows, tmp_path / "data" / "raw" / "train")
    set_params(dataset__max_megapixels=1)
    succeed(run_stage(*PREPARE))
    lines = (tmp_path / "data/stories/quarantine.jsonl").read_text().splitlines()
    details = {entry["story_id"]: entry["detail"] for entry in map(json.loads, lines)}
    assert details == {
        "eps": "image 1: the image is EPS, which is not read here; convert it to JPEG or PNG",
        "heic": "image 1: the image is HEIC, which is not read here; convert it to JPEG or PNG",
        "large": "image 1: the image has 1200 x 1000 pixels, more than dataset.max_megapixels, "
        "1 million; scale it down or raise that",
    }
    set_params(dataset__max_megapixels=1000)
    assert "max_megapixels" in error_line(run_stage(*PREPARE))


def build_story_reasoning(folder: Path, images: str) -> list[dict[str, Any]]:
    """The layout of the dataset's own branch, made as its authors make it: with `datasets`.

    Args:
        images: whether they are known by their encoded bytes, or by the files that they lie in.

    Returns:
        The train stories, with images as they are to come out.
    """
    from datasets import Dataset, Features, Image, Sequence, Value
    from datasets.table import embed_table_storage

    rows = [story_row(f"s{n}", n_frames=2 + n) for n in range(3)]
    for row in rows:
        for image in row["images"]:
            image["path"] = image["path"] if images == "files" else None
    features = Features(
        {
            "story_id": Value("string"),
            "images": Sequence(Image()),
            "frame_count": Value("int32"),
            "chain_of_thought": Value("string"),
            "story": Value("string"),
        }
    )
    pictures = folder.parent / "pictures"
    pictures.mkdir()
    for image in (image for row in rows for image in row["images"] if image["path"]):
        (pictures / image["path"]).write_bytes(image["bytes"])

    def given(row: dict[str, Any]) -> dict[str, Any]:
        if images == "bytes":
            return row
        return row | {"images": [str(pictures / image["path"]) for image in row["images"]]}

    parts = {
        "train-00000-of-00002": rows[:2],
        "train-00001-of-00002": rows[2:],
        "test-00000-of-00001": rows[:1],
    }
    (folder / "data").mkdir(parents=True)
    for name, part in parts.items():
        dataset = Dataset.from_list([given(row) for row in part], features=features)
        embedded = dataset.with_format("arrow").map(embed_table_storage, batched=True)
        embedded.with_format(None).to_parquet(str(folder / "data" / f"{name}.parquet"))
    (folder / "README.md").write_text(
        "---\nlicense: cc-by-nd-4.0\nconfigs:\n- config_name: default\n  data_files:\n"
        "  - split: train\n    path: data/train-*\n  - split: test\n    path: data/test-*\n---\n"
    )
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("images", ["bytes", "files"])
def test_a_folder_in_the_hubs_layout_is_downloaded_without_network(
    tmp_path: Path, run_stage: RunStage, set_params: SetParams, images: str
) -> None:
    rows = build_story_reasoning(tmp_path / "hub", images)
    set_params(dataset__source="hub", dataset__hub__repo="hub")
    succeed(run_stage(*DOWNLOAD, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf")))
    assert [row for _, _, row in iter_stories(tmp_path / "data/raw")] == [*rows, rows[0]]
    succeed(run_stage(*PREPARE))
    assert read_json(tmp_path / "data/stories/summary.json")["dataset"] == {
        "source": "hub",
        "repo": "hub",
        "license": "cc-by-nd-4.0",
        "config": "default",
    }


@pytest.mark.slow
def test_the_recipe_for_the_real_dataset_keeps_the_commit_that_main_is_at(
    tmp_path: Path, run_stage: RunStage, set_params: SetParams
) -> None:
    rows = build_story_reasoning(tmp_path / "hub", "files")
    set_params(dataset__source="hub")  # all that README's recipe sets for the dataset
    commit = "0123456789" * 4
    dataset = Repository.of_dataset(tmp_path / "hub", commit)
    with serving({"daniel3303/StoryReasoning": dataset}) as hub:
        online = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf")}
        succeed(run_stage(*DOWNLOAD, **online))
        assert [row for _, _, row in iter_stories(tmp_path / "data/raw")] == [*rows, rows[0]]
        assert read_json(tmp_path / "data/raw/source.json") == {
            "source": "hub",
            "repo": "daniel3303/StoryReasoning",
            "revision": "main",
            "commit": commit,
            "license": "cc-by-nd-4.0",
            "config": "default",
        }
        shutil.rmtree(tmp_path / "data")
        set_params(dataset__source="hub", dataset__hub__revision="gone")
        assert "StoryReasoning at revision gone cannot be opened (there is no such rev" in (
            error_line(run_stage(*DOWNLOAD, **online))
        )
        set_params(dataset__source="hub", dataset__hub__repo="nobody/nothing")
        assert "nobody/nothing at revision main cannot be opened (there is no such dat" in (
            error_line(run_stage(*DOWNLOAD, **online))
        )
    assert not (tmp_path / "data" / "raw").exists()


def test_without_network_one_sentence_says_how_to_go_on(
    tmp_path: Path, run_stage: RunStage, set_params: SetParams
) -> None:
    set_params(dataset__source="hub")
    line = error_line(run_stage(*DOWNLOAD, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf")))
    assert "daniel3303/StoryReasoning cannot be reached over the network" in line
    assert "local folder in the Hub's layout" in line
    assert "sample or parquet" in line
    assert not (tmp_path / "data/raw").exists()


@pytest.mark.parametrize("stage", [DOWNLOAD, PREPARE, SPLIT], ids=lambda stage: stage[0])
def test_a_typo_in_params_stops_every_stage_before_it_touches_anything(
    tmp_path: Path, run_stage: RunStage, set_params: SetParams, stage: list[str]
) -> None:
    set_params(contxt={"k": 4})
    assert "contxt" in error_line(run_stage(*stage))
    assert not (tmp_path / "data").exists()


def test_missing_inputs_name_the_stage_to_run(run_stage: RunStage, set_params: SetParams) -> None:
    set_params()
    assert "run the download stage" in error_line(run_stage(*PREPARE))
    assert "run the prepare stage" in error_line(run_stage(*SPLIT))
