"""The stages download, prepare and split, as DVC runs them."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.files import read_json
from pipeline.stories.frames import read_frames
from pipeline.stories.schema import count_stories, iter_stories, write_stories
from tests.stories.story_rows import encoded_image, story_row

RunStage = Callable[..., subprocess.CompletedProcess[str]]
SetParams = Callable[..., None]

PREPARE = (
    "prepare --raw data/raw --frames data/stories/frames.parquet "
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


def test_the_sample_goes_through_the_line_and_is_reproducible(
    tmp_path: Path, run_stage: RunStage, set_params: SetParams
) -> None:
    set_params(dataset__sample__stories=10, dataset__limit_stories=2, context__k=2)
    succeed(run_stage(*DOWNLOAD))
    files = sorted((tmp_path / "data" / "raw").rglob("*.*"))
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "data/raw/test/00000.parquet",
        "data/raw/train/00000.parquet",
    ]
    before = [file.read_bytes() for file in files]
    succeed(run_stage(*DOWNLOAD))
    assert [file.read_bytes() for file in files] == before

    done = run_stage(*PREPARE)
    succeed(done)
    assert re.search(r"^prepare: (\d) of \1 stories kept, 0 refused", done.stderr, re.MULTILINE)
    assert read_json(tmp_path / "data/stories/summary.json")["columns"] == 5
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


def test_a_folder_in_the_hubs_layout_is_downloaded_without_network(
    tmp_path: Path, run_stage: RunStage, set_params: SetParams
) -> None:
    rows = [story_row(f"s{n}", n_frames=2) for n in range(3)]
    write_stories(rows, tmp_path / "hub" / "data")
    (tmp_path / "hub/data/00000.parquet").rename(tmp_path / "hub/data/train-00000-of-00001.parquet")
    set_params(dataset__source="hub", dataset__hub__repo="hub")
    succeed(run_stage(*DOWNLOAD, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf")))
    assert [row for _, _, row in iter_stories(tmp_path / "data/raw")] == rows


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
