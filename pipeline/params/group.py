"""What every group of `params.yaml` is made of: the base class, and the types of bounded values."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]


class Group(BaseModel):
    """A group of keys: immutable, no unknown key, no silent conversion of types."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        serialize_by_alias=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


def unset_keys(values: BaseModel, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of the keys that `values` was not given and has by default; of a whole group its own.

    The defaults are for code. A file says everything, so that a later default changes no run.
    """
    for name, field in type(values).model_fields.items():
        alias, value = field.validation_alias, getattr(values, name)
        path = (*above, alias if isinstance(alias, str) else name)
        if name not in values.model_fields_set:
            yield path
        elif isinstance(value, BaseModel):
            yield from unset_keys(value, path)
