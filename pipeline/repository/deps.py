"""The `deps` of dvc.yaml against what its stages import: DVC follows no imports itself.

Too few leave stale results, too many run stages for nothing.
"""

import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError
from pipeline.repository.imports import SETTINGS, Code, lies_in
from pipeline.repository.line import paths_of, read_line

Start = tuple[list[str], str | None]
"""Files that run first, and the folder of a script, in which Python looks for modules."""


@dataclass(frozen=True)
class StageDeps:
    """A stage whose command runs Python code of the project; paths are from the root."""

    name: str
    missing: dict[str, str]
    """File that runs and is not listed -> the file that imports it."""
    needless: tuple[str, ...]
    """Code that is listed and of which nothing runs."""
    slack: tuple[str, ...]
    """Modules of listed folders that do not run here."""
    needed: frozenset[str]
    entries: tuple[str, ...]
    """Its `deps` in the order of the file."""
    folder: str
    """From which its entries are written: its `wdir`."""

    @property
    def right(self) -> bool:
        return not self.missing and not self.needless


def check_deps(root: Path = Path()) -> list[StageDeps]:
    """Compare every stage of `root`'s dvc.yaml that runs Python code of the project.

    Raises:
        UserError: dvc.yaml, pyproject.toml or a module cannot be read.
    """
    code, stages = read_code(root), read_line(root)
    counts = _counted(root, code, stages)
    found = []
    for name, stage in stages.items():
        starts = list(_started(name, stage, code))
        if starts:
            found.append(_compare(name, stage, starts, code, counts))
    return found


def read_code(root: Path) -> Code:
    """The code of the project in `root`, with its settings. Raises UserError if these are wrong."""
    try:
        settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        settings = {}
    except (OSError, ValueError) as error:
        raise UserError(f"pyproject.toml cannot be read ({error}); put it right") from None
    own = settings.get("tool", {}).get("storycache", {}).get("deps", {})
    for key, value in own.items():
        if key not in ("exempt", "roots") or not isinstance(value, list):
            raise UserError(f"{SETTINGS}: {key} is no list of exempt or of roots; write it as one")
    exempt = (Path(path).as_posix() for path in own.get("exempt", []))
    return Code(Path(os.path.abspath(root)), tuple(own.get("roots", ["."])), tuple(exempt))


def _counted(root: Path, code: Code, stages: dict[str, dict[str, Any]]) -> Callable[[str], bool]:
    """Whether a path can be code that a stage depends on: not where it is exempt, ignored by DVC,
    DVC's own, or made by a stage."""
    from dvc.repo import Repo

    with Repo(os.path.abspath(root), uninitialized=True) as repo:
        ignore = repo.dvcignore
    made = {
        _from_root(path, stage)
        for stage in stages.values()
        for path in paths_of(stage, "outs", "metrics", "plots")
    }

    def counts(path: str) -> bool:
        name = Path(path).name
        return not (
            code.is_exempt(path)
            or any(lies_in(path, out) for out in made)
            or name.startswith(".")
            or name.endswith((".dvc", "dvc.yaml", "dvc.lock"))
            or ignore.is_ignored_file(str(code.root / path))
        )

    return counts


def _started(name: str, stage: dict[str, Any], code: Code) -> Iterator[Start]:
    """What of the project each Python in a stage's command starts."""
    commands = stage.get("cmd", "")
    for command in [commands] if isinstance(commands, str) else commands:
        lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError as error:
            raise UserError(f"dvc.yaml: cmd of {name} is no command line ({error})") from None
        for at, word in enumerate(words):
            if re.fullmatch(r"python[\d.]*(\.exe)?", Path(word).name):
                yield from _python_starts(words[at + 1 :], stage, code)


def _python_starts(words: Sequence[str], stage: dict[str, Any], code: Code) -> Iterator[Start]:
    """What a Python with these arguments starts, if that is the project's."""
    rest = iter(words)
    for word in rest:
        if word in ("-W", "-X"):
            next(rest, "")
        elif word == "-m":
            module, folders = next(rest, ""), [stage.get("wdir", "."), *code.roots]
            files = [*code.module_files(module, folders)]
            files += code.module_files(f"{module}.__main__", folders)
            if files:
                yield list(dict.fromkeys(files)), None
            return
        elif word == "-c" or not word.startswith("-"):
            script = _from_root(word, stage)
            if word.endswith(".py") and (code.root / script).is_file():
                yield [script], os.path.dirname(script) or "."
            return


def _compare(
    name: str,
    stage: dict[str, Any],
    starts: Iterable[Start],
    code: Code,
    counts: Callable[[str], bool],
) -> StageDeps:
    needed: dict[str, str] = {}
    for files, beside in starts:
        needed = code.reached(files, beside) | needed
    needed |= {file: by for file, by in _data_beside(needed, code).items() if counts(file)}
    entries = tuple(_from_root(entry, stage) for entry in paths_of(stage, "deps"))
    listed = [entry for entry in entries if counts(entry) and _is_code(entry, code)]
    covering = [entry for entry in listed if any(lies_in(file, entry) for file in needed)]
    modules = {module: None for entry in covering for module in modules_in(entry, code)}
    return StageDeps(
        name=name,
        missing={
            file: by
            for file, by in needed.items()
            if not any(lies_in(file, entry) for entry in covering)
        },
        needless=tuple(entry for entry in listed if entry not in covering),
        slack=tuple(module for module in modules if module not in needed),
        needed=frozenset(needed),
        entries=entries,
        folder=stage.get("wdir", "."),
    )


def _from_root(path: str, stage: dict[str, Any]) -> str:
    return Path(os.path.normpath(Path(stage.get("wdir", "."), path))).as_posix()


def _is_code(entry: str, code: Code) -> bool:
    """Whether an entry of `deps` is a module, a folder of modules, or a file beside modules."""
    path = code.root / entry
    if path.is_dir():
        return not path.with_name(f"{path.name}.dvc").exists() and bool(modules_in(entry, code))
    return path.suffix == ".py" or (path.parent / "__init__.py").is_file()


def modules_in(entry: str, code: Code) -> list[str]:
    """Modules of a folder, or the one that `entry` is; without empty ones and exempt ones."""
    path = code.root / entry
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    modules = [code.relative(file) for file in files if file.suffix == ".py" and file.is_file()]
    return [file for file in modules if not code.is_exempt(file) and code.text(file).strip()]


def _data_beside(modules: Iterable[str], code: Code) -> dict[str, str]:
    """Templates and the like, which nothing imports: other files in the packages of the modules,
    with folders in there that hold no modules. Each with such a module."""
    packages: dict[Path, str] = {}
    for module in modules:
        folder = (code.root / module).parent
        if (folder / "__init__.py").is_file():
            packages.setdefault(folder, module)
    found: dict[str, str] = {}
    for folder, module in packages.items():
        for path in sorted(folder.iterdir()):
            inside = sorted(path.rglob("*")) if path.is_dir() else [path]
            if not any(file.suffix == ".py" for file in inside):
                found |= {code.relative(file): module for file in inside if file.is_file()}
    return found
