"""The trained model, taken from this repository into another one."""

from pathlib import Path

import pytest

from tests.end_to_end.conftest import Line


@pytest.mark.slow
def test_another_repository_gets_the_model(line: Line, tmp_path: Path) -> None:
    line.run("git", "tag", "--annotate", "storyteller@v1.0.0", "--message", "first")
    other = Line(tmp_path / "other", line.home)
    other.root.mkdir()
    for command in (
        ("git", "init", "--quiet"),
        ("dvc", "init", "--quiet"),
        ("dvc", "get", str(line.root), "data/models/final", "--out", "got"),
        ("dvc", "artifacts", "get", str(line.root), "storyteller", "--out", "artifact"),
        ("dvc", "import", str(line.root), "data/models/final", "--out", "imported"),
    ):
        other.run(*command)
    final = line.contents("data/models/final")
    for folder in ("got", "artifact", "imported"):
        got = other.contents(folder)
        assert list(got.values()) == list(final.values()), folder
