"""The command `storycache`: a subcommand is a module beside this one, and a line below.

The signature of its function `command` is its command line, by typer.
"""

import functools
import importlib
import sys
from collections.abc import Callable, Collection, Sequence

import typer

from pipeline.common.errors import exit_cleanly
from pipeline.common.process import leave_at_signals
from pipeline.common.settings import apply_settings

COMMANDS = {
    "check": "Which of your own stories would be kept, and why not the rest.",
    "compare": "Is run B better than run A? Metric by metric, with intervals.",
    "recipe": "Settings of others, as options of dvc exp run.",
    "predict": "Write the next caption of a story of your own.",
    "demo": "Try a model on a page of this machine.",
    "storyboard": "Draw a prediction with the frames that it goes on from.",
    "features": "Look after the embeddings that are kept between runs.",
    "cluster": "Embed or sample in parts, as jobs of a cluster.",
    "plan": "What embedding so many frames would take: hours, storage, money.",
    "deps": "Check dvc.yaml against what its stages import, or mend it.",
}
"""Name of a subcommand and of its module -> its line in the table of contents."""


def main() -> None:
    """Run the subcommand that is asked for; no other one's module is imported."""
    apply_settings()
    leave_at_signals()
    app = _group("What one asks a project of stories beside running its line.")
    for name, contents in COMMANDS.items():
        if name in sys.argv[1:2]:
            _load(app, name, contents)
        else:
            app.command(name, short_help=contents)(_unloaded)
    app(prog_name="storycache")


def _group(help_text: str | None) -> typer.Typer:
    return typer.Typer(
        help=help_text,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def _load(app: typer.Typer, name: str, contents: str) -> None:
    """Add a subcommand; of a module with `COMMANDS`, name -> function, a group of them."""
    module = importlib.import_module(f"pipeline.cli.{name}")
    sys.argv[2:] = spread(sys.argv[2:], getattr(module, "SEVERAL", ()))
    if not hasattr(module, "COMMANDS"):
        app.command(name, short_help=contents)(_cleanly(module.command))
        return
    group = _group(module.HELP)
    for each, command in module.COMMANDS.items():
        group.command(each)(_cleanly(command))
    app.add_typer(group, name=name, short_help=contents)


def _cleanly(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def cleanly(**values: object) -> None:
        exit_cleanly(lambda: command(**values))

    return cleanly


def spread(words: Sequence[str], options: Collection[str]) -> list[str]:
    """Put an option of `options` before each of the values that follow it.

    `--images a.jpg b.jpg` is how people write it, and how shells expand `--images *.jpg`; typer
    wants `--images a.jpg --images b.jpg`.
    """
    spread_out: list[str] = []
    option = None
    for word in words:
        if word.startswith("--"):
            option = word if word in options else None
            if option is None:
                spread_out.append(word)
        else:
            spread_out += [word] if option is None else [option, word]
    return spread_out


def _unloaded() -> None:
    """Stands in the table of contents."""
