"""YAML 1.2, read with the parser that DVC uses, so that both see the same values.

`2e-3` is a number (PyYAML makes it text), `yes` is text, and a key written twice is refused.
"""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.common.errors import UserError


def read_yaml(path: Path) -> Any:
    """Parse a YAML file into plain values.

    Raises:
        UserError: the file is missing, unreadable or not YAML; with the line where it goes wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file here; run from the root of the repository") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        problem = str(error.problem or error.context or "syntax error")
        raise UserError(f"{path}{line}: not valid YAML ({' '.join(problem.split())})") from None
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
