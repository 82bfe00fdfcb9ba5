"""`storycache deps`: dvc.yaml against what its stages import."""

from typing import Annotated

import typer

from pipeline.common.errors import UserError
from pipeline.repository.deps import StageDeps, check_deps
from pipeline.repository.rewrite import write_deps


def command(
    write: Annotated[
        bool,
        typer.Option("--write/--check", help="Put them right, or only say what is wrong."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Name no slack.")] = False,
) -> None:
    """Compare the deps of dvc.yaml with what its stages import, or put them right.

    DVC follows no imports: what a stage's `deps` lack leaves stale results, what they have too much
    runs stages for nothing. Looked at is every stage that runs Python code of this project; files
    that lie beside its modules count too. Modules of a listed folder that a stage does not import
    are named as slack, and are no error. What to leave out stands in pyproject.toml, as `exempt`
    under [tool.storycache.deps], and where modules are looked for besides the root, as `roots`.
    """
    stages = write_deps() if write else check_deps()
    for stage in stages:
        if not (quiet and stage.right):
            print(_described(stage, quiet))
    if write:
        print("dvc.yaml lists what its stages import")
        return
    wrong = [stage.name for stage in stages if not stage.right]
    if wrong:
        raise UserError(
            f"dvc.yaml: the deps of {', '.join(wrong)} are not what is imported there; "
            "storycache deps --write puts them right"
        )


def _described(stage: StageDeps, quiet: bool) -> str:
    lines = [f"missing   {file}, which {by} imports" for file, by in stage.missing.items()]
    lines += [f"needless  {entry}" for entry in stage.needless]
    lines += [f"slack     {module}" for module in stage.slack if not quiet]
    return "\n  ".join([f"{stage.name}:" + ("" if lines else " exact"), *lines])
