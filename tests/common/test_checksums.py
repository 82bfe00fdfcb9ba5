"""SHA256SUMS: anyone can check it, and no damage to what it lists goes unnoticed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.common.checksums import SUMS_FILE, check_file, check_folder, replacing_folder
from pipeline.common.errors import UserError
from tests.damage import damaged

FILES = {"a.json": b'{"a": 1}\n', "b.bin": bytes(range(256)), "empty": b""}
REMEDY = "run dvc repro evaluate"


def write(folder: Path) -> Path:
    with replacing_folder(folder) as partial:
        for name, data in FILES.items():
            (partial / name).write_bytes(data)
    return folder


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum of the GNU tools")
def test_the_usual_tool_reads_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "eval")
    check = ["sha256sum", "--strict", "-c", SUMS_FILE]
    done = subprocess.run(check, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "a.json: OK\nb.bin: OK\nempty: OK\n"


def test_a_folder_is_replaced_whole_or_left_as_it_was(tmp_path: Path) -> None:
    folder = write(tmp_path / "eval")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ZeroDivisionError), replacing_folder(folder) as partial:
        (partial / "a.json").write_bytes(b"half")
        raise ZeroDivisionError
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with replacing_folder(folder) as partial:
        (partial / "new").write_bytes(b"x")
    assert sorted(path.name for path in folder.iterdir()) == [SUMS_FILE, "new"]
    assert list(tmp_path.iterdir()) == [folder]


@settings(max_examples=200)
@given(data=st.data())
def test_whatever_is_damaged_is_one_sentence(tmp_path: Path, data: st.DataObject) -> None:
    folder = write(tmp_path / "eval")
    check_folder(folder, FILES, REMEDY)
    path = folder / data.draw(st.sampled_from(["a.json", "b.bin", SUMS_FILE]))
    whole = path.read_bytes()
    path.write_bytes(data.draw(damaged(whole)))
    if path.read_bytes() != whole:
        with pytest.raises(UserError, match=r"run dvc repro evaluate$") as raised:
            check_folder(folder, FILES, REMEDY)
        assert "\n" not in str(raised.value)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "eval")
    with pytest.raises(UserError, match=r"does not list more\.json|more\.json is missing"):
        check_folder(folder, ["more.json"], REMEDY)
    (folder / "more.json").write_text("{}")
    with pytest.raises(UserError, match=r"SHA256SUMS does not list more\.json"):
        check_folder(folder, ["more.json"], REMEDY)
    (folder / "b.bin").unlink()
    with pytest.raises(UserError, match=re.escape(f"{folder / 'b.bin'} is missing; {REMEDY}")):
        check_folder(folder, ["a.json"], REMEDY)
    (folder / SUMS_FILE).unlink()
    with pytest.raises(UserError, match="SHA256SUMS is missing"):
        check_folder(folder, ["a.json"], REMEDY)


def test_one_file_is_checked_where_it_is_listed(tmp_path: Path) -> None:
    folder = write(tmp_path / "eval")
    check_file(folder / "a.json", REMEDY)
    (folder / "a.json").write_text("{}")
    with pytest.raises(UserError, match=r"a\.json is not what was written"):
        check_file(folder / "a.json", REMEDY)
    (folder / "mine.json").write_text("{}")
    check_file(folder / "mine.json", REMEDY)
    shutil.copy(folder / "a.json", tmp_path)
    check_file(tmp_path / "a.json", REMEDY)
