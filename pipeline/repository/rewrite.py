"""The `deps` of dvc.yaml put right, and everything else in the file left as it was written."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from pipeline.common.errors import UserError
from pipeline.common.files import write_bytes
from pipeline.repository.deps import StageDeps, check_deps, modules_in, read_code
from pipeline.repository.imports import Code, lies_in

LINE_LENGTH = 100
Edit = tuple[int, int, str]
"""Where something starts and ends in the text, and what comes there."""


def write_deps(root: Path = Path()) -> list[StageDeps]:
    """Put the `deps` of `root`'s dvc.yaml right.

    An entry that covers something stays, one that covers nothing goes; what is missing comes as the
    largest folder of which every module is needed, else as the file.

    Returns:
        The stages that were wrong before.

    Raises:
        UserError: as of `check_deps`, or a list cannot be edited without loss.
    """
    stages = check_deps(root)
    wrong = [stage for stage in stages if not stage.right]
    if not wrong:
        return []
    path, code = root / "dvc.yaml", read_code(root)
    text = path.read_text(encoding="utf-8")
    definitions = _mapping(_mapping(YAML().compose(text))["stages"])
    edits = []
    for name in dict.fromkeys(_definition(stage) for stage in wrong):
        made = [stage for stage in stages if _definition(stage) == name]
        edits.append(_edit(text, name, definitions[name], made, code))
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    write_bytes(path, text.encode())
    return wrong


def _definition(stage: StageDeps) -> str:
    """What dvc.yaml calls it; of one that `foreach` or `matrix` makes, all share theirs."""
    return stage.name.split("@")[0]


def _mapping(node: Node) -> dict[str, Node]:
    assert isinstance(node, MappingNode)
    return {key.value: value for key, value in node.value}


def _edit(text: str, name: str, definition: Node, made: Sequence[StageDeps], code: Code) -> Edit:
    """The edit of one definition, `made` being the stages that it makes."""
    body = _mapping(definition)
    body = _mapping(body["do"]) if "do" in body else body
    deps = body.get("deps")
    count = len(deps.value) if isinstance(deps, SequenceNode) else 0
    elsewhere = deps is not None and not _is_in(deps, definition)
    if elsewhere or any(len(stage.entries) != count for stage in made):
        raise UserError(
            f"dvc.yaml: the deps of {name} do not all stand in it (an alias, a merge or a `${{}}` "
            "for several); write them out"
        )
    needed = {file for stage in made for file in stage.needed}
    added = _as_folders({file for stage in made for file in stage.missing}, needed, code)
    gone = [
        all(s.entries[i] in s.needless or _is_within(s.entries[i], added) for s in made)
        for i in range(count)
    ]
    new = [_scalar(Path(os.path.relpath(path, made[0].folder)).as_posix()) for path in added]
    if not isinstance(deps, SequenceNode):
        return _inserted(text, body["cmd"], new)
    if deps.flow_style:
        return _flow_edit(text, name, deps, gone, new)
    return _block_edit(text, deps, gone, new)


def _is_in(node: Node, outer: Node) -> bool:
    return bool(outer.start_mark.index <= node.start_mark.index < outer.end_mark.index)


def _is_within(entry: str, added: Sequence[str]) -> bool:
    """Whether an entry lies in a folder that comes now."""
    return any(entry != folder and lies_in(entry, folder) for folder in added)


def _as_folders(missing: Iterable[str], needed: set[str], code: Code) -> list[str]:
    """`missing`, folders in the place of files wherever all modules of a folder are needed."""
    found: dict[str, None] = {}
    for file in sorted(missing):
        best = file
        for parent in list(Path(file).parents)[:-1]:  # the last one is the root
            modules = modules_in(parent.as_posix(), code)
            if not modules or not set(modules) <= needed:
                break
            best = parent.as_posix()
        found[best] = None
    return list(found)


def _inserted(text: str, command: Node, new: Sequence[str]) -> Edit:
    """A list where there was none: above the command."""
    start = text.rfind("\n", 0, command.start_mark.index) + 1
    while not text[start:].lstrip(" ").startswith("cmd"):  # a command of several lines
        start = text.rfind("\n", 0, start - 1) + 1
    indent = " " * (len(text[start:]) - len(text[start:].lstrip(" ")))
    return start, start, f"{indent}deps: {_flow('', new, len(indent) + 6)}\n"


def _flow_edit(
    text: str, name: str, deps: SequenceNode, gone: Sequence[bool], new: Sequence[str]
) -> Edit:
    """What stays keeps its line; new entries come last."""
    start, end = deps.start_mark.index, deps.end_mark.index
    if "#" in text[start:end]:
        raise UserError(
            f"dvc.yaml: a comment stands within the deps of {name} and would be lost; put it above "
            "them"
        )
    ends = [start + 1, *(item.end_mark.index for item in deps.value)]
    kept = ""
    for before, item, goes in zip(ends[:-1], deps.value, gone, strict=True):
        if not goes:  # an entry with the comma and the white space before it
            kept += text[before : item.end_mark.index]
    return start, end, _flow(kept.lstrip(", \n"), new, deps.start_mark.column)


def _block_edit(text: str, deps: SequenceNode, gone: Sequence[bool], new: Sequence[str]) -> Edit:
    """Lines of entries that go are taken out, with the comments on them; new ones come last."""
    lines = text.splitlines(keepends=True)
    first, last = deps.start_mark.line, deps.value[-1].start_mark.line
    dropped = {item.start_mark.line for item, goes in zip(deps.value, gone, strict=True) if goes}
    kept = [line for i, line in enumerate(lines) if first <= i <= last and i not in dropped]
    if kept and not kept[-1].endswith("\n"):
        kept[-1] += "\n"
    indent = " " * deps.start_mark.column
    start = sum(map(len, lines[:first]))
    end = sum(map(len, lines[: last + 1]))
    return start, end, "".join(kept) + "".join(f"{indent}- {entry}\n" for entry in new)


def _flow(kept: str, new: Sequence[str], column: int) -> str:
    """A list in brackets that starts at `column`: what is kept, then new entries, whose further
    lines begin below the first one."""
    indent = " " * (column + 1)
    for entry in new:
        line = (indent + kept).rpartition("\n")[2]
        comma = ", " if len(line) + len(entry) + 3 <= LINE_LENGTH else f",\n{indent}"
        kept += (comma if kept else "") + entry
    return f"[{kept}]"


def _scalar(path: str) -> str:
    """A path as YAML has it, in quotes where it needs them."""
    plain = re.fullmatch(r"[A-Za-z_./][\w./-]*", path)
    return path if plain else '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
