import json
from pathlib import Path

import pytest

from pipeline.common.errors import UserError
from pipeline.stories.origin import read_origin, write_origin


def test_files_become_one_digest_that_tells_them_apart(tmp_path: Path) -> None:
    said = []
    for digest in ("aa", "bb"):
        write_origin(tmp_path, {"source": "parquet", "files": [{"name": "x", "sha256": digest}]})
        assert json.loads((tmp_path / "source.json").read_text())["files"][0]["sha256"] == digest
        said.append(read_origin(tmp_path))
        assert set(said[-1]) == {"source", "sha256"}
    assert said[0]["sha256"] != said[1]["sha256"]


def test_a_folder_that_does_not_say_and_one_that_is_damaged(tmp_path: Path) -> None:
    assert read_origin(tmp_path) == {}
    for content in ("[]", "null", "{"):
        (tmp_path / "source.json").write_text(content)
        with pytest.raises(UserError, match=r"source\.json"):
            read_origin(tmp_path)
