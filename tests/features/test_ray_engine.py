"""Features that Ray's workers make are those of one process, whatever happens to the workers."""

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import UserError
from pipeline.common.keys import as_keys
from pipeline.features.embed import embed_texts
from pipeline.features.jobs import TextJob
from pipeline.features.ray_engine import Worker
from tests.features.conftest import shards, stage
from tests.processes import write_params
from tests.world import World, jpeg, load_clip, write_world

ENCODES = "ray::Worker.encode"
"""Title of a worker's process while it is at work on a part."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes on this machine, with a core each; RAY_ADDRESS names it."""
    pytest.importorskip("ray", reason="Ray is not installed (requirements-ray.txt)")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else they wait behind all other tests
    node = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def large_pictures(tmp_path_factory) -> World:
    """64 frames whose decoding takes a while: eight chunks of 8."""
    stories = {
        f"s{s}": [(jpeg(8 * s + f, 2400, 1600), f"Frame {f} of story {s}.") for f in range(8)]
        for s in range(8)
    }
    return write_world(tmp_path_factory.mktemp("large"), stories)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.thorough
def test_a_lost_node_changes_no_byte(
    cluster: Any, tiny_clip: Path, project: Path, large_pictures: World, tmp_path: Path
) -> None:
    """A node is killed while its worker encodes; then a second run, of what is missing alone."""
    clip = {"model": os.path.relpath(tiny_clip, project), "batch_size": 1, "precision": "float32"}
    write_params(project, clip=clip)
    alone = stage(project, tmp_path / "alone", "image", large_pictures)
    assert "64 encoded" in alone.communicate()[0]
    expected = shards(project / "out")

    write_params(project, clip=clip, embed={"engine": "ray"})
    home = tmp_path / "shared"
    second = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    process = stage(project, home, "image", large_pictures)
    raylet = psutil.Process(second.all_processes["raylet"][0].process.pid)
    while not (at_work := [c for c in raylet.children() if ENCODES in "".join(c.cmdline())]):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    cluster.remove_node(second, allow_graceful=False)
    for worker in at_work:
        worker.kill()
    printed, said = process.communicate()
    assert process.returncode == 0, said
    assert "a worker of Ray is lost" in said
    assert "64 from the cache, 0 encoded" in printed and "by 2 workers of Ray" in printed
    assert shards(project / "out") == expected

    for chunk in sorted(home.rglob("*.h5"))[:3]:
        chunk.unlink()
    process = stage(project, home, "image", large_pictures)
    printed, said = process.communicate()
    # Ray may take some seconds to see that a node is gone.
    assert re.search("before that 24 encoded by [12] workers of Ray", printed), said
    assert shards(project / "out") == expected

    next(home.rglob("*.h5")).unlink()
    for file in large_pictures.raw.rglob("*.parquet"):
        file.rename(file.with_suffix(".gone"))
    process = stage(project, home, "image", large_pictures)
    printed, said = process.communicate()
    assert (process.returncode, printed) == (1, "")
    assert said.splitlines()[-1].startswith("error: ") and "is missing" in said
    assert "Traceback" not in said


def test_a_machine_without_the_folder_is_named(tiny_clip: Path, tmp_path: Path) -> None:
    job = TextJob(load_clip(tiny_clip), as_keys([]), np.zeros(0, np.int64), [])
    with pytest.raises(UserError, match=r"cannot enter .*gone .*must share a file system"):
        Worker(job, str(tmp_path / "gone")).ready()


def test_without_ray_one_sentence_says_how_to_get_it(
    tiny_clip: Path, tiny_data: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    clip = FrozenClip.load(str(tiny_clip), precision="float32")
    with pytest.raises(UserError, match=r"pip install -r requirements-ray\.txt, or set embed\."):
        embed_texts(clip, tiny_data.frames, tmp_path / "out", engine="ray")
    embed_texts(clip, tiny_data.frames, tmp_path / "out")
    report = embed_texts(clip, tiny_data.frames, tmp_path / "out", engine="ray")
    assert report.remark == "", "where nothing is missing, no Ray is started"
