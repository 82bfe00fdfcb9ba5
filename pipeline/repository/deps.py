"""The `deps` of dvc.yaml against what its stages import: DVC follows no imports itself.

Too few leave stale results, too many run stages for nothing.
"""

import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError
from pipeline.repository.imports import SETTINGS, Code, lies_in
from pipeline.repository.line import paths_of, read_line


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
    ignored = _ignored(root)
    made = {path for stage in stages.values() for path in paths_of(stage, "outs", "metrics")}
    found = []
    for name, stage in stages.items():
        starts = _started(stage, code, name)
        if starts:
            found.append(_compare(name, stage, starts, code, made, ignored))
    return found


def read_code(root: Path) -> Code:
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


def _ignored(root: Path) -> Callable[[Path], bool]:
    from dvc.repo import Repo

    with Repo(os.path.abspath(root), uninitialized=True) as repo:
        ignore = repo.dvcignore
    return lambda path: bool(ignore.is_ignored_file(str(path)))


def _started(stage: dict[str, Any], code: Code, name: str) -> list[tuple[list[str], str | None]]:
    """What of the project each Python in a command starts: files, and the script's folder."""
    commands = stage.get("cmd", "")
    words: list[str] = []
    for command in [commands] if isinstance(commands, str) else commands:
        lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words += [*lexer, ";"]
        except ValueError as error:
            raise UserError(f"dvc.yaml: cmd of {name} is no command line ({error})") from None
    folder = stage.get("wdir", ".")
    started: list[tuple[list[str], str | None]] = []
    for at, word in enumerate(words):
        if re.fullmatch(r"python[\d.]*(\.exe)?", Path(word).name):
            rest = iter(words[at + 1 :])
            target = next((w for w in rest if w in ("-m", ";") or w.endswith(".py")), ";")
            if target == "-m":
                module = next(rest, "")
                files = code.module_files(module, [folder, *code.roots])
                inner = code.module_files(f"{module}.__main__", [folder, *code.roots])
                started.append((list(dict.fromkeys(files + inner)), None))
            elif target != ";":
                script = os.path.normpath(Path(folder, target))
                if (code.root / script).is_file():
                    started.append(([Path(script).as_posix()], os.path.dirname(script) or "."))
    return [start for start in started if start[0]]


def _compare(
    name: str,
    stage: dict[str, Any],
    starts: Iterable[tuple[list[str], str | None]],
    code: Code,
    made: set[str],
    ignored: Callable[[Path], bool],
) -> StageDeps:
    needed: dict[str, str] = {}
    for files, beside in starts:
        needed = code.reached(files, beside) | needed
    needed |= _data_beside(needed, code, ignored)
    folder = stage.get("wdir", ".")
    entries = tuple(_from_root(entry, folder) for entry in paths_of(stage, "deps"))
    listed = [e for e in entries if e not in made and not code.is_exempt(e) and _is_code(e, code)]
    return StageDeps(
        name=name,
        missing={
            file: by
            for file, by in needed.items()
            if not any(lies_in(file, entry) for entry in listed)
        },
        needless=tuple(e for e in listed if not any(lies_in(file, e) for file in needed)),
        slack=tuple(
            module
            for entry in listed
            if any(lies_in(file, entry) for file in needed)
            for module in modules_in(entry, code)
            if module not in needed
        ),
        needed=frozenset(needed),
        entries=entries,
        folder=folder,
    )


def _from_root(entry: str, folder: str) -> str:
    return Path(os.path.normpath(Path(folder, entry))).as_posix()


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


def _data_beside(
    modules: Iterable[str], code: Code, ignored: Callable[[Path], bool]
) -> dict[str, str]:
    """Templates and the like, which nothing imports: other files in the packages of the modules,
    with folders in there that hold no modules."""
    packages: dict[Path, str] = {}
    for module in modules:
        folder = (code.root / module).parent
        if (folder / "__init__.py").is_file():
            packages.setdefault(folder, module)
    found = {}
    for folder, module in packages.items():
        for path in sorted(folder.iterdir()):
            inside = [path] if path.is_file() else sorted(path.rglob("*"))
            if path.is_dir() and any(file.suffix == ".py" for file in inside):
                continue
            for file in inside:
                if file.is_file() and file.suffix != ".py" and not ignored(file):
                    found[code.relative(file)] = module
    return {file: by for file, by in found.items() if not code.is_exempt(file)}
