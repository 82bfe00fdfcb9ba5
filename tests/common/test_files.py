import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.common.files import (
    CannotWriteError,
    jsonl_writer,
    read_json,
    replacing,
    write_bytes,
    write_json,
    writing,
)
from tests.processes import python

posix = pytest.mark.skipif(os.name != "posix", reason="rights and limits are POSIX's")


def test_replacing_shows_the_file_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.bin"
    with replacing(path) as partial:
        assert partial.parent == path.parent
        partial.write_bytes(b"half")
        assert not path.exists()
        with partial.open("ab") as file:
            file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert list(path.parent.iterdir()) == [path]


def test_replacing_keeps_the_old_file_when_the_writer_fails(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as partial:
        partial.write_text("new, but")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_demands_that_something_was_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "file.txt"):
        pass


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # a lone surrogate is no text that UTF-8 can hold
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(content=JSON)
def test_json_comes_back_as_it_went(tmp_path: Path, content: object) -> None:
    write_json(tmp_path / "x.json", content)
    assert read_json(tmp_path / "x.json") == content


def test_json_is_readable_and_keeps_the_given_order(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": 1, "a": "é"})
    assert (tmp_path / "x.json").read_bytes() == '{\n  "b": 1,\n  "a": "é"\n}\n'.encode()


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_read_json_says_which_file_is_missing_or_broken(tmp_path: Path) -> None:
    """What JSON allows and Python does not is among the broken."""
    with pytest.raises(UserError, match=r"x\.json is missing"):
        read_json(tmp_path / "x.json")
    with pytest.raises(UserError, match="cannot be read"):
        read_json(tmp_path)
    for text in ("{", "[" * 100_000, "1" * 5000, "\x00", ""):
        (tmp_path / "x.json").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=r"x\.json is not valid JSON") as raised:
            read_json(tmp_path / "x.json")
        assert len(str(raised.value)) < 500 and "\n" not in str(raised.value)


WRITERS = """
import resource, sys
from contextlib import suppress
from pathlib import Path
import numpy as np, pyarrow.parquet as pq, torch
from PIL import Image
from pipeline.captioning.samples import Samples, write_samples
from pipeline.common.checksums import replacing_folder
from pipeline.cli.storyboard import save_picture
from pipeline.features.store import write_shard
from pipeline.common.files import CannotWriteError, jsonl_writer, write_json
from pipeline.stories.frames import writing_frames
from pipeline.stories.schema import write_stories
from pipeline.common.tensors import save_tensors
from tests.stories.story_rows import story_row

def lines(path):
    with jsonl_writer(path) as write:
        for _ in range(100_000):
            write(1)

def frames(path):
    with writing_frames(path):
        pass

def folder(path):
    with replacing_folder(path) as partial:
        (partial / "weights").write_bytes(bytes(1000))

resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
writers = {
    "json": lambda path: write_json(path, list(range(100))),
    "jsonl": lines,
    "tensors": lambda path: save_tensors(path, {"x": torch.zeros(100)}, None),
    "shard": lambda path: write_shard(path, np.zeros((9, 32), np.uint8), np.ones((9, 8)), {}),
    "captions": lambda path: write_samples(path, Samples.none(4), {}),
    "frames": frames,
    "stories": lambda path: write_stories([story_row("s")], path),
    "folder": folder,
    "x.png": lambda path: save_picture(Image.new("RGB", (500, 500)), path),
}
for name, write in writers.items():
    try:
        write(Path(name))
    except CannotWriteError as error:
        print(error)
left = [path for path in Path().rglob("*") if path.is_file()]
assert not left, left
"""


@posix
def test_every_writer_says_in_a_sentence_that_there_is_no_room(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: libraries meet both in one way."""
    done = python("-c", WRITERS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    names = [line.split(" cannot be written (file too large")[0] for line in lines]
    assert names == [
        *("json", "jsonl", "tensors", "shard", "captions", "frames"),
        *("stories/00000.parquet", "folder", "x.png"),
    ]
    assert "file too large: 0.6 kB needed); make room there, and run the same again" in lines[0]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_says_how_much_there_is_and_how_much_was_needed(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    for size, said in ((250_000, r"0\.2 MB needed, [\d.]+ .B free\)"), (None, "not enough")):
        with (
            pytest.raises(CannotWriteError, match=f"no space left on device: .*{said}"),
            replacing(path, size) as partial,
        ):
            partial.symlink_to("/dev/full")
            partial.write_bytes(bytes(250_000))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWriteError, match=r"file/sub/x\.bin cannot be written"):
        write_bytes(tmp_path / "file" / "sub" / "x.bin", b"")
    with pytest.raises(CannotWriteError, match="file name too long"):
        write_bytes(tmp_path / ("x" * 300), b"")


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES])
def test_what_systems_answer_is_a_sentence_and_what_is_ours_stays(
    tmp_path: Path, number: int
) -> None:
    with pytest.raises(CannotWriteError, match=os.strerror(number).lower()), writing(tmp_path):
        raise OSError(number, os.strerror(number))
    with pytest.raises(CannotWriteError), writing(tmp_path):
        raise RuntimeError(f"I/O error: whatever (os error {number})")
    with pytest.raises(CannotWriteError), writing(tmp_path):
        raise RuntimeError(f"cannot write (errno = {number}, error message = 'whatever')")
    with pytest.raises(UserError) as kept, writing(tmp_path):
        raise UserError(f"another sentence (os error {number})")
    assert not isinstance(kept.value, CannotWriteError)
    for bug in (ValueError("wrong"), OSError("no number"), FileNotFoundError(errno.ENOENT, "gone")):
        with pytest.raises(type(bug)), writing(tmp_path):
            raise bug


def test_a_file_elsewhere_that_may_not_be_read_is_not_blamed_on_what_is_written(
    tmp_path: Path,
) -> None:
    elsewhere = PermissionError(errno.EACCES, "Permission denied", "/elsewhere/input.parquet")
    with pytest.raises(PermissionError), writing(tmp_path / "out" / "x"):
        raise elsewhere


@contextmanager
def nobody() -> Iterator[Path]:
    """A folder that anyone may write in, and a user without the rights of root meanwhile."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        yield folder
    finally:
        if root:
            os.seteuid(0)
        shutil.rmtree(folder, ignore_errors=True)


@posix
def test_missing_rights_are_a_sentence() -> None:
    with nobody() as folder:
        write_json(folder / "mine" / "x.json", {})
        (folder / "mine").chmod(0o555)
        for path in (folder / "mine" / "y.json", folder / "mine" / "sub" / "y.json"):
            with pytest.raises(
                CannotWriteError, match=r"permission denied.*; make it a place to write in"
            ):
                write_json(path, {})
        (folder / "mine" / "x.json").chmod(0o000)
        with pytest.raises(UserError, match=r"x\.json may not be read by this user"):
            read_json(folder / "mine" / "x.json")
        (folder / "mine").chmod(0o700)


@posix
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_follow_the_umask_whoever_writes_them(tmp_path: Path, umask: int, mode: int) -> None:
    """Trained weights, which their library makes for their owner alone, among them."""
    import torch

    from pipeline.common.tensors import save_tensors

    before = os.umask(umask)
    try:
        write_json(tmp_path / "a.json", {})
        save_tensors(tmp_path / "b.safetensors", {"x": torch.zeros(3)}, None)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"a.json": mode, "b.safetensors": mode}


def test_jsonl_streams_one_document_per_line(tmp_path: Path) -> None:
    rows = [{"a": 1}, {"a": "two\nlines"}, []]
    with jsonl_writer(tmp_path / "x.jsonl") as write:
        for row in rows:
            write(row)
        assert not (tmp_path / "x.jsonl").exists()
    lines = (tmp_path / "x.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows
