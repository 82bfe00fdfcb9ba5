"""What every source of stories gives: its rows split by split, and where they came from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.stories.schema import Row, Split

Rows = Callable[[], Iterator[Row]]


@dataclass(frozen=True)
class Source:
    """Stories that were found and whose columns were checked, none of which is read yet."""

    rows: Mapping[Split, Rows]
    """For each split that there is (`train`, and `test` if any), what starts its stream."""
    origin: Callable[[], dict[str, Any]]
    """Where the rows come from, as JSON, to be asked once they are read: equal for equal rows."""
