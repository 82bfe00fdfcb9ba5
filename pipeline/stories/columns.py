"""The columns of stories, in whatever types hold the same values: refused, or taken over.

Types are judged once, before the first row; values are taken over one by one, as Python objects,
which Arrow's many string and list types share.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import types as kinds

from pipeline.common.errors import UserError, reason

STORY_SCHEMA = pa.schema(
    [
        ("story_id", pa.string()),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
        ("frame_count", pa.int64()),
        ("chain_of_thought", pa.string()),
        ("story", pa.string()),
    ]
)

CAPTIONS_SCHEMA = STORY_SCHEMA.set(
    STORY_SCHEMA.get_field_index("story"), pa.field("story", pa.list_(pa.string()))
)
"""Of stories whose captions are given one by one, in place of one text that tags divide."""

NEEDED = ("story_id", "images", "story")
"""The columns that a dataset must have; the others are null where it has not."""

Row = dict[str, Any]

TEXT = (kinds.is_string, kinds.is_large_string, kinds.is_string_view)
BYTES = (
    kinds.is_binary,
    kinds.is_large_binary,
    kinds.is_binary_view,
    kinds.is_fixed_size_binary,
)
LIST = (
    kinds.is_list,
    kinds.is_large_list,
    kinds.is_fixed_size_list,
    kinds.is_list_view,
    kinds.is_large_list_view,
)


def check_columns(found: pa.Schema, where: str) -> None:
    """See that a dataset has the columns of stories, in types that hold the same values.

    Strings and lists of any of Arrow's kinds pass, dictionaries of what passes, whole numbers as
    ids, floats as counts (pandas makes them of counts with gaps), columns of nulls. An image may
    be a struct of `bytes`, `path` or both, or its bytes or its path alone; a story a list of
    captions.

    Args:
        where: the file or dataset, for the sentence.

    Raises:
        UserError: naming the column, and the type found and wanted.
    """
    for name in STORY_SCHEMA.names:
        if name not in found.names:
            if name in NEEDED:
                raise UserError(
                    f"{where} has no column '{name}'; stories have the columns "
                    f"{', '.join(STORY_SCHEMA.names)}"
                )
            continue
        wanted = STORY_SCHEMA.field(name).type
        if found.names.count(name) > 1:
            raise UserError(f"{where} has several columns '{name}'; leave one")
        given = found.field(name).type
        if not _fits(given, wanted) and not _fits(given, CAPTIONS_SCHEMA.field(name).type):
            raise UserError(
                f"{where}: column '{name}' is of type {_shown(given)}, but "
                f"stories need {wanted}; convert the column"
            )


def story_row(values: Row, where: str) -> Row:
    """Take over one row of a dataset whose columns were checked; what it lacks is None.

    Args:
        values: the row as Python objects.
        where: file or dataset and row, for the sentence.

    Raises:
        UserError: for a count that is no whole number.
    """
    story_id, images, frame_count, chain_of_thought, story = map(values.get, STORY_SCHEMA.names)
    return {
        "story_id": _text(story_id),
        "images": None if images is None else [_image(image) for image in images],
        "frame_count": _count(frame_count, where),
        "chain_of_thought": _text(chain_of_thought),
        "story": [_text(part) for part in story] if isinstance(story, list) else _text(story),
    }


def row_of(batch: pa.RecordBatch | pa.Table, where: str) -> Row:
    """Give the only row of a batch or table as Python objects.

    Raises:
        UserError: naming the column whose text is not UTF-8.
    """
    row = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            (row[name],) = column.to_pylist()
        except UnicodeDecodeError as error:
            raise UserError(
                f"{where}: column '{name}' holds text that is not UTF-8 ({reason(error)}); "
                "write it as UTF-8"
            ) from None
    return row


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    if kinds.is_dictionary(found):
        return _fits(found.value_type, wanted)
    if kinds.is_null(found):
        return True
    if kinds.is_string(wanted):
        return _is(found, (*TEXT, kinds.is_integer))
    if kinds.is_integer(wanted):
        return _is(found, (kinds.is_integer, kinds.is_floating))
    if kinds.is_list(wanted):
        return _is(found, LIST) and _fits(found.value_type, wanted.value_type)
    return _is_image(found)


def _is(found: pa.DataType, kinds_of_it: Sequence[Callable[[pa.DataType], bool]]) -> bool:
    return any(is_kind(found) for is_kind in kinds_of_it)


def _is_image(found: pa.DataType) -> bool:
    if not kinds.is_struct(found):
        return _is(found, (*BYTES, *TEXT))
    given = [field for field in found if field.name in ("bytes", "path")]
    return bool(given) and all(
        _is(_plain(field.type), (*(BYTES if field.name == "bytes" else TEXT), kinds.is_null))
        for field in given
    )


def _plain(found: pa.DataType) -> pa.DataType:
    return found.value_type if kinds.is_dictionary(found) else found


def _shown(found: pa.DataType) -> str:
    text = str(found)
    return text if len(text) <= 100 else text[:96] + " ..."


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _count(value: Any, where: str) -> int | None:
    if value is None or value != value:  # NaN is how pandas writes a gap
        return None
    if value != int(value):
        raise UserError(f"{where}: frame_count is {value}, no whole number; correct it")
    return int(value)


def _image(value: Any) -> Row | None:
    if isinstance(value, dict):
        return {"bytes": value.get("bytes"), "path": value.get("path")}
    if isinstance(value, str):
        return {"bytes": None, "path": value}
    return None if value is None else {"bytes": value, "path": None}
