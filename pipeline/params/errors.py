"""One sentence out of a failed check of `params.yaml`: key, value, what is allowed, nearest key."""

import difflib
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

_TYPES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Put the first problem of `error`, found while reading `model`, into one sentence.

    Unknown keys come first: a misspelt key is also a missing one, and its spelling is the news.
    """
    problem = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    path = tuple(_legible(str(part)) for part in problem["loc"])
    key = ".".join(path)
    value = _shown(problem["input"])
    if problem["type"] == "extra_forbidden":
        return f"{key} (value {value}) is not a known key{_suggestion(path, model)}"
    if problem["type"] == "invalid_key":
        return f"{key} is not a known key: keys are text"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    fields = dict(walk_fields(model))
    field = next((fields[path[:n]] for n in range(len(path), 0, -1) if path[:n] in fields), None)
    if field is None:
        return f"{key or 'a key'} (value {value}) is not allowed ({problem['msg']})"
    return f"{key} is {value}, but must be {allowed(field)}"


def explain_missing(path: tuple[str, ...], model: type[BaseModel]) -> str:
    """Say that a key of `model` is missing, and what it must be."""
    return f"{'.'.join(path)} is missing; it must be {allowed(dict(walk_fields(model))[path])}"


def first_problem(error: ValidationError, above: str = "", whole: str = "the whole file") -> str:
    """Where the first problem of checked values is and what it is, as in `a.b: Field required`.

    `above` is put before its path, `whole` in the place of one that is empty.
    """
    first = error.errors()[0]
    path = [part for part in (above, *map(str, first["loc"])) if part]
    return f"{'.'.join(path)[:100] or whole}: {first['msg'][:100]}"


def walk_fields(
    model: type[BaseModel], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Yield every key of `model`, groups and leaves, as its path in the file and its field."""
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        path = (*above, alias if isinstance(alias, str) else name)
        yield path, field
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from walk_fields(field.annotation, path)


def allowed(field: FieldInfo) -> str:
    """Say which values `field` takes, e.g. `a whole number, 1 or more, or null`."""
    return _allowed(field.annotation, list(field.metadata))


def _allowed(annotation: Any, metadata: list[Any]) -> str:
    origin = get_origin(annotation)
    if hasattr(annotation, "__metadata__"):
        inner = [part for item in annotation.__metadata__ for part in _constraints(item)]
        return _allowed(get_args(annotation)[0], [*metadata, *inner])
    if origin in (types.UnionType, Union):
        options = [option for option in get_args(annotation) if option is not type(None)]
        return f"{' or '.join(_allowed(option, metadata) for option in options)}, or null"
    if origin is list:
        return f"a list, each of it {_allowed(get_args(annotation)[0], [])}"
    if origin is Literal:
        return f"one of {', '.join(str(value) for value in get_args(annotation))}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        keys = [path[0] for path, _ in walk_fields(annotation) if len(path) == 1]
        return f"a group of the keys {', '.join(keys)}"
    name = _TYPES.get(annotation, "another value")
    bounds = [bound for item in metadata for bound in _bound(item)]
    return f"{name}, {' and '.join(bounds)}" if bounds else name


def _constraints(item: Any) -> list[Any]:
    return list(item.metadata) if isinstance(item, FieldInfo) else [item]


def _bound(item: Any) -> Iterator[str]:
    match item:
        case annotated_types.Ge(ge=low):
            yield f"{low} or more"
        case annotated_types.Gt(gt=low):
            yield f"above {low}"
        case annotated_types.Le(le=high):
            yield f"at most {high}"
        case annotated_types.Lt(lt=high):
            yield f"below {high}"
        case annotated_types.MinLen():
            yield "not empty"


def _suggestion(path: tuple[str, ...], model: type[BaseModel]) -> str:
    """Name the nearest known key: one beside the unknown one, or else anywhere in the file."""
    known = [found for found, _ in walk_fields(model)]
    beside = [found for found in known if found[:-1] == path[:-1]]
    near = difflib.get_close_matches(path[-1], [found[-1] for found in beside], n=1, cutoff=0.5)
    if near:
        return f"; did you mean {'.'.join((*path[:-1], near[0]))}?"
    elsewhere = [".".join(found) for found in known if found[-1] == path[-1]]
    everywhere = [".".join(found) for found in known]
    near = elsewhere or difflib.get_close_matches(".".join(path), everywhere, n=1, cutoff=0.0)
    return f"; the nearest known key is {near[0]}" if near else ""


def _legible(text: str) -> str:
    """`text` on one line: what cannot be printed is escaped."""
    return text if text.isprintable() else repr(text)[1:-1]


def _shown(value: object) -> str:
    """Show a value as it is written in the file: null, true, "quoted text", 4.5."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = f'"{_legible(value)}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
