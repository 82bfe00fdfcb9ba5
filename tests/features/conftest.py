"""Small raw stories and their frames table."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
