"""The model card of a sample backbone: where it comes from, what it cost, what it reaches."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import torch

CARD = """\
---
license: mit
library_name: transformers
---
# {title}

Drawn for nothing but this project's embedded sample, so that the whole line runs where no model
hub can be reached. It knows no world but the storyworld.

| what | |
|---|---|
| Architecture | {architecture} |
| Parameters | {parameters:.2f} million, saved as float16 |
| Data | {data} |
| Cost | {cost} |
| Made by | `{command}` |

Measured on held-out stories:

| figure | value |
|---|---|
{rows}
"""


def elapsed(started: float) -> str:
    """What has passed since `started`, a reading of `time.monotonic`, in words."""
    minutes, threads = (time.monotonic() - started) / 60, torch.get_num_threads()
    return f"{minutes:.0f} minutes of {threads} CPU thread{'s' if threads > 1 else ''}"


def write_card(
    folder: Path,
    *,
    title: str,
    data: str,
    architecture: str,
    parameters: int,
    cost: str,
    command: str,
    figures: Mapping[str, float],
) -> None:
    """Write `README.md` in `folder`; see `elapsed` for `cost`."""
    rows = "\n".join(f"| {name} | {value:.3f} |" for name, value in figures.items())
    text = CARD.format(
        title=title,
        architecture=architecture,
        parameters=parameters / 1e6,
        data=data,
        cost=cost,
        command=command,
        rows=rows,
    )
    folder.joinpath("README.md").write_text(text, encoding="utf-8")
