from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli.check import check
from pipeline.common.errors import UserError
from pipeline.params import ContextParams, DatasetParams, Params, SplitParams
from pipeline.stories.columns import CAPTIONS_SCHEMA
from tests.sources.story_files import line, write_folder, write_lines
from tests.stories.story_rows import encoded_image

CARVED = Params(context=ContextParams(k=2), split=SplitParams(test="carved"))


def contents(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


def write_stories(root: Path, n: int = 12, n_frames: int = 3) -> None:
    for story in range(n):
        captions = {f"{frame}.jpg": f"It is {frame}." for frame in range(n_frames)}
        write_folder(root / f"s{story}", captions, first=story * n_frames)


def test_every_refusal_has_its_reason_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_stories(tmp_path / "mine")
    (tmp_path / "mine" / "s1" / "2.jpg").write_bytes(b"no picture")
    (tmp_path / "mine" / "s2" / "1.txt").unlink()
    (tmp_path / "mine" / "s3" / "0.txt").write_bytes(b"caf\xe9")
    before = contents(tmp_path)
    check(tmp_path / "mine", CARVED)
    assert contents(tmp_path) == before
    first, *refused, sentence, figures, parts = capsys.readouterr().out.splitlines()
    assert first == f"dataset.source: folder, dataset.folder.path: {tmp_path / 'mine'}"
    assert [text.split(":")[0] for text in refused] == [f"train {n}, s{n}" for n in (1, 2, 3)]
    assert "(image: image 3: the image cannot be decoded" in refused[0]
    assert "(empty_caption: frame 2 of 3)" in refused[1]
    assert "(unreadable: s3/0.txt is not UTF-8 text)" in refused[2]
    assert sentence.startswith("9 of 12 stories kept, 3 refused (1 unreadable, 1 image, 1 empty")
    assert figures == "9 train; 27 frames, 3 to 3 a story; 3.0 words a caption"
    assert parts == "with context.k 2 and split.test carved: 7 train, 1 val, 1 test"


def test_what_is_cut_rather_than_refused_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_stories(tmp_path, n_frames=4)
    (tmp_path / "s5" / "3.jpg").write_bytes(b"no picture")
    check(tmp_path, CARVED.model_copy(update={"dataset": DatasetParams(bad_frame="cut")}))
    printed = capsys.readouterr().out
    assert "train 5, s5: The story ends before its first bad frame. (cut: 3 frames" in printed
    assert "12 of 12 stories kept, 0 refused, 1 cut before a bad frame" in printed
    assert "3 to 4 a story" in printed


@pytest.mark.parametrize(
    ("settings", "stops"),
    [
        (Params(), "no test stories; set split.test to carved"),
        (Params(split=SplitParams(test="carved")), "have the 5 frames that context.k=4 needs"),
    ],
)
def test_what_would_stop_the_line_stops_the_check(
    tmp_path: Path, settings: Params, stops: str
) -> None:
    write_stories(tmp_path)
    with pytest.raises(UserError, match=stops):
        check(tmp_path, settings)


def test_a_dataset_of_nothing_to_keep_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="not a single story can be used"):
        check(write_lines(tmp_path / "x.jsonl", line("\x1b[31m s", ("gone.jpg", "x"))), CARVED)
    assert r"train 0, \x1b[31m s: A file of the story cannot be read" in capsys.readouterr().out


def parquet(path: Path, ids: str) -> None:
    image = {"bytes": encoded_image(), "path": None}
    rows: list[dict[str, Any]] = [
        {"story_id": f"{path.name} {n}", "images": [image] * 3, "story": ["a", "b", "c"]}
        for n in ids
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=CAPTIONS_SCHEMA), path)


@pytest.mark.parametrize(
    ("files", "keys"),
    [
        (["x.parquet"], "parquet.train: {}"),
        (["train/0.parquet", "test/0.parquet"], "parquet.train: {}/train, {}/test"),
        (["data/train-0.parquet", "data/test-0.parquet"], "{}/**/train*.parquet, {}/**/test*"),
        (["train.jsonl", "test.jsonl"], "jsonl.path: {}"),
        (["train/a/1.jpg", "test/a/1.jpg"], "folder.path: {}"),
    ],
)
def test_it_finds_out_what_a_path_is(
    tmp_path: Path, files: list[str], keys: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in files:
        if name.endswith(".parquet"):
            parquet(tmp_path / name, "0123456789")
        elif name.endswith(".jsonl"):
            (tmp_path / "1.jpg").write_bytes(encoded_image())
            frame = ("1.jpg", "x")
            write_lines(tmp_path / name, *(line(n, frame, frame, frame) for n in range(10)))
        else:
            split = name.split("/")[0]
            write_stories(tmp_path / split, 10)
    test = "official" if len(files) == 2 else "carved"
    check(tmp_path, CARVED.model_copy(update={"split": SplitParams(test=test)}))
    printed = capsys.readouterr().out
    wanted = keys.format(*[tmp_path] * 2).split(", ")
    assert all(part in printed.splitlines()[0] for part in wanted)
    assert f"{10 * len(files)} of {10 * len(files)} stories kept" in printed
