"""Which files of a project run when one of its scripts does, found without running it."""

import ast
import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.common.errors import UserError

SETTINGS = "[tool.storycache.deps] of pyproject.toml"


@dataclass(frozen=True)
class Code:
    """The Python code of a project. All paths are as text, from its root, with slashes."""

    root: Path
    roots: tuple[str, ...] = (".",)
    """Folders in which modules are looked for, such as `src`."""
    exempt: tuple[str, ...] = ()
    """Files and folders that are not followed and do not count."""
    _texts: dict[str, str] = field(default_factory=dict, compare=False)
    _imports: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict, compare=False)

    def reached(self, starts: Sequence[str], beside: str | None = None) -> dict[str, str]:
        """Every file with code in it that `starts` import in the end, wherever the import stands.

        Args:
            beside: folder of a script, in which Python looks for modules first.

        Returns:
            File -> the file that imports it first; of `starts`, themselves.

        Raises:
            UserError: one is no Python, or imports what is only known when it runs.
        """
        first = {file: file for file in starts}
        waiting = list(starts)
        while waiting:
            file = waiting.pop(0)
            for imported in self._imported(file, beside or "."):
                if imported not in first:
                    first[imported] = file
                    waiting.append(imported)
        kept = {file: by for file, by in first.items() if not self.is_exempt(file)}
        return {file: by for file, by in kept.items() if self.text(file).strip()}

    def module_files(self, name: str, folders: Sequence[str]) -> list[str]:
        """Files that run when `name` is imported, packages first; none of anyone else's."""
        for folder in folders:
            found, place = [], self.root / folder
            for part in name.split("."):
                package, module = place / part / "__init__.py", place / f"{part}.py"
                place /= part
                if package.is_file():
                    found.append(package)
                elif module.is_file():
                    found.append(module)
                    break
                elif not place.is_dir():
                    break
            if found:
                return [self.relative(path) for path in found]
        return []

    def is_exempt(self, file: str) -> bool:
        return any(lies_in(file, place) for place in self.exempt)

    def relative(self, path: Path) -> str:
        return Path(os.path.relpath(path, self.root)).as_posix()

    def text(self, file: str) -> str:
        if file not in self._texts:
            try:
                self._texts[file] = (self.root / file).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"{file} cannot be read ({error}); make it Python again") from None
        return self._texts[file]

    def _imported(self, file: str, beside: str) -> tuple[str, ...]:
        if self.is_exempt(file):
            return ()
        if (file, beside) not in self._imports:
            folders = list(dict.fromkeys((beside, *self.roots)))
            found = [
                path
                for name, level in self._names(file)
                for path in self._resolved(file, name, level, folders)
            ]
            self._imports[file, beside] = tuple(dict.fromkeys(found))
        return self._imports[file, beside]

    def _resolved(self, file: str, name: str, level: int, folders: Sequence[str]) -> list[str]:
        """Files of a name that `file` imports, `level` being the dots before it."""
        if not level:
            return self.module_files(name, folders)
        folder = (self.root / file).parent
        for _ in range(level - 1):
            folder = folder.parent
        package = folder / "__init__.py"
        own = [self.relative(package)] if package.is_file() else []
        return own + (self.module_files(name, [self.relative(folder)]) if name else [])

    def _names(self, file: str) -> Iterator[tuple[str, int]]:
        """Names of modules in its imports, each with the number of dots before it.

        Of `from a import b`, both `a` and `a.b`, as b may be a module.
        """
        try:
            tree = ast.parse(self.text(file))
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            raise UserError(f"{file}{line}: not valid Python; its imports cannot be read") from None
        for node in _nodes_that_run(tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, 0) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = node.module or ""
                yield above, node.level
                for alias in node.names:
                    yield f"{above}.{alias.name}".removeprefix("."), node.level
            elif isinstance(node, ast.Call) and _is_dynamic(node.func):
                name = node.args[0] if node.args else None
                if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
                    raise UserError(
                        f"{file}, line {node.lineno}: imports a module whose name is known only "
                        f"when it runs; write the import out, or exempt the file in {SETTINGS}"
                    )
                plain = name.value.lstrip(".")
                yield plain, len(name.value) - len(plain)


def _nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.If) and ast.unparse(node.test).split(".")[-1] == "TYPE_CHECKING":
            children = list(node.orelse)
        waiting += children


def _is_dynamic(function: ast.expr) -> bool:
    return ast.unparse(function).split(".")[-1] in ("import_module", "__import__")


@functools.cache
def lies_in(path: str, place: str) -> bool:
    """Whether `path` is `place` or in it."""
    return place == "." or path == place or path.startswith(f"{place}/")
