"""A model's files from the Hugging Face Hub: the small ones, and its weights in one format.

Old models have weights in PyTorch's format alone, and a pull request of the Hub's own bot with the
same as safetensors, which is what Transformers takes as well.
"""

from pathlib import Path

from pipeline.common.files import read_json, write_json
from pipeline.common.home import storycache_home
from pipeline.pretrained.weights import SAFETENSORS, TORCH, weight_files

SMALL_FILES = ["*.json", "*.txt", "*.model", "*.spm", "*.bpe", "*.tiktoken", "*.jinja"]
SUBFOLDERS = "*/*"
"""Exports for other libraries: never needed."""
CONVERSION_BOT = "SFconvertbot"
CONVERSION_TITLE = "Adding `safetensors` variant of this model"


def fetch(model: str, revision: str | None) -> Path:
    """The folder of a snapshot with everything that a model is loaded from.

    Weights: those in safetensors, else those in PyTorch's format if they were fetched before, else
    the Hub's own conversion to safetensors, else PyTorch's format.

    Raises:
        WeightsError: if an index of weights is not one.
        Exception: what `huggingface_hub` raises if there is no such model within reach.
    """
    path = _snapshot(model, revision, [SAFETENSORS])
    if weight_files(path, SAFETENSORS):
        return _with_shards(model, revision, path, SAFETENSORS)
    if all(file.is_file() for file in weight_files(path, TORCH) or [path / TORCH]):
        return path
    commit = _conversion(model, path.name)
    if commit is not None:
        converted = _snapshot(model, commit, [SAFETENSORS])
        if weight_files(converted, SAFETENSORS):
            return _with_shards(model, commit, converted, SAFETENSORS)
    return _with_shards(model, revision, _snapshot(model, revision, [TORCH]), TORCH)


def _with_shards(model: str, revision: str | None, path: Path, single: str) -> Path:
    files = weight_files(path, single)
    if all(file.is_file() for file in files):
        return path
    return _snapshot(model, revision, [file.name for file in files])


def _snapshot(model: str, revision: str | None, weights: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            model,
            revision=revision,
            allow_patterns=[*SMALL_FILES, *weights],
            ignore_patterns=SUBFOLDERS,
        )
    )


def _conversion(model: str, commit: str) -> str | None:
    """The commit of the Hub's conversion of a model's `commit`; None if there is none, or nobody
    can be asked.

    What was found is kept, so that a model that was once fetched is found without a network.
    """
    kept = storycache_home() / "conversions" / f"{model.replace('/', '--')}-{commit}.json"
    try:
        if kept.is_file():
            return str(read_json(kept)["commit"])
        from huggingface_hub import HfApi

        api = HfApi()
        pulls = api.get_repo_discussions(
            model,
            author=CONVERSION_BOT,
            discussion_type="pull_request",
            discussion_status="open",
        )
        for pull in pulls:
            if pull.title != CONVERSION_TITLE or pull.author != CONVERSION_BOT:
                continue
            history = api.list_repo_commits(model, revision=f"refs/pr/{pull.num}")
            if len(history) > 1 and history[1].commit_id == commit:  # made from this very commit
                write_json(kept, {"commit": history[0].commit_id})
                return history[0].commit_id
    except Exception:  # whatever keeps it from being asked: PyTorch's format holds the same
        pass
    return None
