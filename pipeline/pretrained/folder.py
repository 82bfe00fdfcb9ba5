"""A pretrained model as files: found, checked and digested without loading it.

The one door for CLIP and language models alike. No torch here for weights in safetensors: whether
there is anything to compute at all is decided from the files.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError
from pipeline.pretrained.hub import fetch
from pipeline.pretrained.weights import (
    SAFETENSORS,
    TORCH,
    StoredTensor,
    WeightsError,
    check_weights,
    stored_tensors,
    weight_files,
)

TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
)
TOKENIZER_PATTERNS = ("vocab.txt", "*.model", "*.spm", "*.bpe", "*.tiktoken")
CONFIG_NOTES = {"_name_or_path", "dtype", "torch_dtype", "transformers_version"}
"""Notes that libraries leave in a config; weights are computed with in a dtype of our choice."""


@dataclass(frozen=True)
class PretrainedFolder:
    """The files of one pretrained model: a local folder, or a snapshot of the Hub's."""

    parameter: str
    """The key in params.yaml that names the model, for messages: clip.model, evaluate.judge."""
    path: Path
    model: str
    """Folder or Hub id, as the parameter says."""
    revision: str | None
    config: dict[str, Any]
    """config.json as it is stored."""
    weights: tuple[Path, ...]
    """The files of weights, all in one format, each seen to be whole."""

    def error(self, sentence: str) -> UserError:
        """A UserError about this model: `sentence` says what is wrong and what to do."""
        return UserError(f"{self.parameter} {self.model}: {sentence}")

    def read_json(self, name: str, advice: str) -> Any:
        """One of its JSON files.

        Raises:
            UserError: if it is missing, with `advice`, or not valid JSON.
        """
        return _read_json(self.parameter, self.model, self.path / name, advice)

    def tensors(self, *prefixes: str) -> Iterator[StoredTensor]:
        """Its stored tensors whose names begin with one of `prefixes`, by name; all without one.

        Raises:
            UserError: if they cannot be read.
        """
        try:
            return stored_tensors(list(self.weights), prefixes or ("",))
        except WeightsError as error:
            raise self.error(str(error)) from error

    def digest(self) -> str:
        """SHA-256, in hex, of all that its results depend on: settings, weights and tokenizer.

        The same weights give the same in either format; their name and place do not count. Read
        once per object: that takes as long as reading the weights does.
        """
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256(json.dumps(_settings(self.config), sort_keys=True).encode())
        digest.update(self.tokenizer_digest(*TOKENIZER_PATTERNS).encode())
        update_with_tensors(digest, self.tensors())
        return digest.hexdigest()

    def tokenizer_digest(self, *further: str) -> str:
        """SHA-256, in hex, of the tokenizer's files; `further` are patterns of rarer ones."""
        digest = hashlib.sha256()
        extra = sorted(file.name for pattern in further for file in self.path.glob(pattern))
        for name in (*TOKENIZER_FILES, *extra):
            file = self.path / name
            if file.is_file():
                digest.update(f"{name} ".encode() + hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()


def find_pretrained(parameter: str, model: str, revision: str | None) -> PretrainedFolder:
    """Locate a pretrained model, fetching it from the Hugging Face Hub if it is no local folder.

    Args:
        parameter: the key in params.yaml that names the model; messages begin with it.
        model: a folder written by `save_pretrained`, or a Hub id.
        revision: branch, tag or commit of a Hub id; None is its default branch.

    Raises:
        UserError: if there is no such model within reach, or its config or weights are missing,
            broken or cut short.
    """
    try:
        path = Path(model) if Path(model).is_dir() else _fetch(parameter, model, revision)
        files = weight_files(path, SAFETENSORS) or weight_files(path, TORCH)
        config = _read_json(
            parameter, model, path / "config.json", "save the model with save_pretrained"
        )
        if not files:
            raise WeightsError(
                f"it has neither {SAFETENSORS} nor {TORCH}, in one file or in shards with an "
                "index; fetch its weights too, or save the model with save_pretrained"
            )
        check_weights(files)
    except WeightsError as error:
        raise UserError(f"{parameter} {model}: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{parameter} {model}: config.json is no table of settings; save it anew")
    return PretrainedFolder(parameter, path, model, revision, config, tuple(files))


def update_with_tensors(digest: Any, tensors: Iterator[StoredTensor]) -> int:
    """Add names, dtypes, shapes and bytes to a hashlib digest; returns the number of tensors."""
    count = 0
    for name, description, data in tensors:
        digest.update(f"{name} {description} ".encode())
        digest.update(data)
        count += 1
    return count


def _fetch(parameter: str, model: str, revision: str | None) -> Path:
    from huggingface_hub import errors

    at = f" at revision {revision}" if revision else ""
    try:
        return fetch(model, revision)
    except errors.GatedRepoError as error:
        raise UserError(
            f"{parameter} {model} may be fetched only by those whom its authors have let in: ask "
            "for access on its page on the Hub, and log in once with hf auth login"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{parameter} {model} has no revision {revision} on the Hub") from error
    except WeightsError:
        raise
    except Exception as error:  # of names, files, networks and protocols, each its own
        raise UserError(
            f"{parameter} {model!r}{at} is no folder here and could not be fetched from the "
            f"Hugging Face Hub ({type(error).__name__}); give the path of a saved model, or run "
            "once with a network connection"
        ) from error


def _read_json(parameter: str, model: str, file: Path, advice: str) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{parameter} {model}: {file.name} is missing; {advice}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{parameter} {model}: {file.name} cannot be read as JSON ({type(error).__name__}); "
            f"fetch it again, or {advice}"
        ) from error


def _settings(config: Any) -> Any:
    """A config without its notes, those of its parts included."""
    if not isinstance(config, dict):
        return config
    return {name: _settings(part) for name, part in config.items() if name not in CONFIG_NOTES}
