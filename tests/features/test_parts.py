"""Features that several processes make part by part are those that one makes alone.

Every process has as many threads as every other here (`tests/conftest.py`).
"""

import signal
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.clip.frozen import FrozenClip
from pipeline.common.home import storycache_home
from pipeline.common.parts import Part
from pipeline.features.embed import embed_images, embed_texts
from pipeline.features.jobs import TextJob
from tests.features.conftest import shards, stage
from tests.world import World

PARTS = st.integers(1, 9).flatmap(
    lambda count: st.integers(1, count).map(lambda number: f"{number}/{count}")
)


@pytest.fixture
def clip(tiny_clip: Path) -> FrozenClip:
    """Its batch size makes five chunks of 8 images."""
    return FrozenClip.load(str(tiny_clip), precision="float32", batch_size=1)


@settings(max_examples=8)
@given(parts=st.lists(PARTS, min_size=1, max_size=6), data=st.data())
def test_any_parts_in_any_order_change_no_byte(
    clip, tiny_data, tmp_path_factory, monkeypatch: pytest.MonkeyPatch, parts: list[str], data
) -> None:
    """Parts of several divisions, some twice; then the stage, which encodes what is missing."""
    embed = data.draw(st.sampled_from(["image", "text"]))
    monkeypatch.setattr(TextJob, "chunk_batches", 8)

    def run(home: Path, part: str | None = None):
        monkeypatch.setenv("STORYCACHE_HOME", str(home))
        whole_or_part = None if part is None else Part(part)
        if embed == "image":
            raw, frames = tiny_data.raw, tiny_data.frames
            return embed_images(clip, raw, frames, home / "out", whole_or_part)
        return embed_texts(clip, tiny_data.frames, home / "out", whole_or_part)

    alone, shared = (tmp_path_factory.mktemp(name) for name in ("alone", "shared"))
    run(alone)
    encoded = 0
    for part in parts:
        report = run(shared, part)
        encoded += report.encoded
        assert report.remark.startswith(f"; part {part} of 40, of which {encoded} are in the cache")
        assert not (shared / "out").exists()
        assert run(shared, part).encoded == 0
    last = run(shared)
    assert encoded + last.encoded == 40
    assert shards(shared / "out") == shards(alone / "out")
    chunks = [{p.name for p in (home / "embeddings").rglob("*.h5")} for home in (alone, shared)]
    assert chunks[0] == chunks[1], "whole chunks at the same places"


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["image", "text"])
def test_processes_at_once_publish_the_bytes_of_one(
    project: Path, tiny_data, tmp_path: Path, modality: str
) -> None:
    """Two halves and, overlapping them, the second of three parts; then DVC's stage."""
    alone = stage(project, tmp_path / "alone", modality, tiny_data)
    assert "40 encoded" in alone.communicate()[0]
    expected = shards(project / "out")
    (project / "out" / "00000.h5").write_text("another run's")

    home = tmp_path / "shared"
    divided = [
        stage(project, home, modality, tiny_data, "--part", part) for part in ("1/2", "2/2", "2/3")
    ]
    printed = [process.communicate() for process in divided]
    assert [process.returncode for process in divided] == [0, 0, 0], printed
    assert (project / "out" / "00000.h5").read_text() == "another run's"
    assert not list(project.rglob("*.lock")), "a part claims nothing"
    together = stage(project, home, modality, tiny_data)
    assert "40 from the cache, 0 encoded" in together.communicate()[0]
    assert shards(project / "out") == expected


@pytest.mark.slow
@pytest.mark.thorough
def test_a_killed_part_is_repeated(project: Path, tiny_data, tmp_path: Path) -> None:
    """Each half is killed once as it starts, and then whenever it has kept one more chunk."""
    alone = stage(project, tmp_path / "alone", "image", tiny_data)
    alone.communicate()
    expected = shards(project / "out")
    home, ends = tmp_path / "shared", []
    for part in ("2/2", "1/2"):
        more = 0
        while not ends or ends[-1] or not more:
            ends.append(start_and_kill(project, home, tiny_data, part, more))
            more = 1
    assert set(ends) == {0, -signal.SIGKILL}
    whole = stage(project, home, "image", tiny_data)
    assert "40 from the cache, 0 encoded" in whole.communicate()[0]
    assert shards(project / "out") == expected


def start_and_kill(project: Path, home: Path, world: World, part: str, more: int) -> int:
    """Start a part and kill it when it has kept so many more chunks, unless it ends before.

    Returns:
        How it ended.
    """

    def kept() -> int:
        return len([path for path in home.rglob("*.h5") if not path.name.startswith(".")])

    before = kept()
    process = stage(project, home, "image", world, "--part", part)
    while process.poll() is None and kept() < before + more:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    return process.returncode


def test_a_part_that_is_none_is_refused(project: Path, tiny_data, tmp_path: Path) -> None:
    for part in ("0/16", "17/16", "3", "a/b"):
        process = stage(project, tmp_path / "home", "text", tiny_data, "--part", part)
        printed, said = process.communicate()
        assert (process.returncode, printed) == (1, "")
        assert said.startswith(f"error: '{part}' is no part of anything") and said.count("\n") == 1
    assert not storycache_home().exists()
