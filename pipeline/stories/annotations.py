"""The table of annotations: what a dataset says of each frame beside its caption.

A row for each row of the table of frames, in its order. Only the evaluation reads it, so that a
new way to read tags or tables costs no training.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.common.errors import UserError
from pipeline.common.parquet import RowWriter, open_parquet, writing_rows

PERSON, THING, PLACE = "person", "thing", "place"
"""Kinds of mentions."""

MENTION = pa.struct(
    [
        ("kind", pa.string()),
        ("ids", pa.string()),  # of the entities, joined by spaces; empty where there are none
        ("text", pa.string()),
        ("told", pa.bool_()),  # in a tag of the caption; else in a table
    ]
)
ANNOTATIONS_SCHEMA = pa.schema(
    [
        ("story_id", pa.string()),
        ("frame_index", pa.int32()),  # from 0
        ("caption", pa.string()),
        ("mentions", pa.list_(MENTION)),
        ("actions", pa.list_(pa.string())),  # of the characters, in their table's order
        ("setting", pa.map_(pa.string(), pa.string())),  # location, time, ... -> what it is
        ("unread", pa.int32()),  # lines of tables that could not be read
    ]
)

Annotation = dict[str, Any]
"""A row of `ANNOTATIONS_SCHEMA`."""

ROWS_AT_A_TIME = 1024


def writing_annotations(path: Path) -> AbstractContextManager[RowWriter]:
    """Open a table of annotations for writing; it appears at `path` complete, at clean exit."""
    return writing_rows(path, ANNOTATIONS_SCHEMA)


def iter_annotations(path: Path, stories: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The annotations of some stories in batches, in the order of the table of frames.

    Raises:
        UserError: if the file is missing, damaged or not a table of annotations.
    """
    chosen = pa.array(stories, pa.string())
    with open_parquet(path, "prepare") as file:
        if not file.schema_arrow.equals(ANNOTATIONS_SCHEMA):
            raise UserError(
                f"{path} does not hold the columns of this version's annotations; "
                "delete it and run dvc repro prepare"
            )
        for batch in file.iter_batches(ROWS_AT_A_TIME, use_threads=False):
            yield batch.filter(pc.is_in(batch.column("story_id"), chosen))


def read_annotations(path: Path, frames: pa.Table) -> pa.Table:
    """The annotations of the rows of `frames`: whole stories, with their `story_id` and `caption`.

    Raises:
        UserError: as `iter_annotations`, and if the annotations are not of these frames.
    """
    stories = frames.column("story_id").unique().to_pylist()
    found = pa.Table.from_batches(iter_annotations(path, stories), ANNOTATIONS_SCHEMA)
    own = ["story_id", "caption"]
    if not found.select(own).equals(frames.select(own)):
        raise UserError(
            f"{path} annotates other frames than those of the table of frames; "
            "delete it and run dvc repro prepare"
        )
    return found
