"""A stage is a function of paths; its signature is its command line.

def split(frames: Path, out: Path) -> None: ...

if __name__ == "__main__":
    run_stage(split)  # python -m stages.split --frames FRAMES --out OUT
"""

import argparse
import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.common.errors import exit_cleanly

Stage = Callable[..., None]


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The table of frames, the stories of each split, the folders of image and text features."""

    frames: Path
    splits: Path
    images: Path
    texts: Path


def run_stage(*stages: Stage) -> None:
    """Run a function as a command, and leave as `exit_cleanly` does.

    Every parameter is an option that must be given unless it has a default, converted by its
    annotation, of `Kind | None` by `Kind`; one annotated with a dataclass gives the options of that
    one's fields. The docstring is the help. Of several functions, the command's first word says
    which.

    Plain argparse: a library for command lines would take longer to load than some stages to run.
    """
    exit_cleanly(lambda: call_stage(sys.argv[1:], *stages))


def call_stage(words: Sequence[str], *stages: Stage) -> None:
    """As `run_stage`, with these words for arguments; a `UserError` passes through."""
    parser = _parser(argparse.ArgumentParser, stages[0])
    if len(stages) > 1:
        parser = argparse.ArgumentParser()
        commands = parser.add_subparsers(required=True)
        for stage in stages:
            _parser(commands.add_parser, stage, name=stage.__name__)
    values = vars(parser.parse_args(words))
    stage = values.pop("stage")
    stage(**{name: _value(kind, values, name) for name, kind in _parameters(stage).items()})


def _parser(make: Callable[..., argparse.ArgumentParser], stage: Stage, **how: Any) -> Any:
    plain = argparse.RawDescriptionHelpFormatter
    parser = make(description=stage.__doc__, formatter_class=plain, **how)
    parser.set_defaults(stage=stage)
    signature = inspect.signature(stage).parameters
    for name, kind in _parameters(stage).items():
        if dataclasses.is_dataclass(kind):
            group = parser.add_argument_group(name, kind.__doc__)
            for field, its_kind in typing.get_type_hints(kind).items():
                group.add_argument(f"--{field}", type=its_kind, required=True)
        else:
            default = signature[name].default
            required = default is inspect.Parameter.empty
            parser.add_argument(f"--{name}", type=kind, required=required, default=default)
    return parser


def _parameters(stage: Stage) -> dict[str, Any]:
    hints = typing.get_type_hints(stage)
    return {name: _without_none(kind) for name, kind in hints.items() if name != "return"}


def _without_none(kind: Any) -> Any:
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return next(kind for kind in kinds if kind is not types.NoneType)


def _value(kind: Any, values: dict[str, Any], name: str) -> Any:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return kind(**{field.name: values[field.name] for field in dataclasses.fields(kind)})
    return values[name]
