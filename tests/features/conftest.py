"""Small raw stories and their frames table, and the stages that embed them, as processes."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.processes import ROOT, write_params
from tests.world import World, jpeg, write_world


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> World:
    """7 stories of 6 frames in small row groups; a picture and a caption occur three times."""
    stories = [
        [
            (
                jpeg(10 * s + f, width=60 + 8 * s),
                f"Frame {f} of story {s}. " + "She runs on and on. " * ((s * 6 + f) % 11),
            )
            for f in range(6)
        ]
        for s in range(7)
    ]
    for s in (3, 5):
        stories[s][2] = (stories[0][0][0], stories[s][2][1])
        stories[s][4] = (stories[s][4][0], stories[1][1][1])
    named = {f"s{s}": frames for s, frames in enumerate(stories)}
    return write_world(tmp_path_factory.mktemp("data"), named, bytes_per_group=20_000)


def with_column(world: World, name: str, column: str, values: list) -> World:
    """The world with one column of its frames table replaced, in a file `name` beside it."""
    table = pq.read_table(world.frames)
    field = table.schema.field(column)
    changed = table.set_column(
        table.column_names.index(column), field, pa.array(values, field.type)
    )
    path = world.frames.with_name(name)
    pq.write_table(changed, path)
    return replace(world, frames=path)


@pytest.fixture
def project(tiny_clip: Path, tmp_path: Path) -> Path:
    """A folder with the params.yaml of the repository, pointed at the tiny CLIP."""
    clip = {"model": str(tiny_clip), "batch_size": 1, "precision": "float32"}
    write_params(tmp_path / "project", clip=clip)
    return tmp_path / "project"


def stage(
    folder: Path, home: Path, modality: str, world: World, *options: str
) -> "subprocess.Popen[str]":
    """Start a stage that embeds `world` into `out` in `folder`."""
    raw = ["--raw", str(world.raw)] if modality == "image" else []
    arguments = [modality, *raw, "--frames", str(world.frames), "--out", str(folder / "out")]
    return subprocess.Popen(
        [sys.executable, "-m", "stages.embed", *arguments, *options],
        cwd=folder,
        env={**os.environ, "STORYCACHE_HOME": str(home), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
