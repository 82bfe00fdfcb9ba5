"""Shares of a stage's work, for processes and machines that have its caches in common."""

import re
from typing import TypeVar

from pipeline.common.errors import UserError

Units = TypeVar("Units", range, list)


class Part:
    """One of so many shares of some work, numbered from 1; made of how it is written: `3/16`."""

    def __init__(self, written: str) -> None:
        """Raises UserError if nothing is divided like that."""
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", written)
        self.number, self.count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= self.number <= self.count:
            raise UserError(
                f"{written!r:.40} is no part of anything: of 16 parts, the first is 1/16 and the "
                "last 16/16"
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, units: Units) -> Units:
        """Its share of units, in a row: together, the parts are all units, each of them once."""
        first, end = (
            len(units) * number // self.count for number in (self.number - 1, self.number)
        )
        return units[first:end]


WHOLE = Part("1/1")
