"""Model folders that travel: fetched from the Hub, copied, and pushed there with their card."""

import shutil
from pathlib import Path

from pipeline.common.checksums import SUMS_FILE, replacing_folder
from pipeline.common.errors import UserError, reason
from pipeline.model.config import validated
from pipeline.model.layout import (
    DISCRIMINATOR_FILE,
    FILES,
    PARAMS_FILE,
    check_complete,
    read_params,
)
from pipeline.params import GenerateParams

CARD_FILE = "README.md"
"""The model card, as the Hub names it."""


def fetch_model(model: str | Path, revision: str | None = None) -> Path:
    """The folder of a trained model: a folder here, or a snapshot of one on the Hugging Face Hub.

    Raises UserError if it is neither.
    """
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download

    try:
        wanted = [*FILES, DISCRIMINATOR_FILE, CARD_FILE, SUMS_FILE]
        return Path(snapshot_download(str(model), revision=revision, allow_patterns=wanted))
    except Exception as error:  # of names, files, networks and protocols, each its own
        raise UserError(
            f"{model} is no model folder here, and could not be fetched from the Hugging Face Hub "
            f"({type(error).__name__}): train one with dvc repro, or give another --model"
        ) from error


def read_generate(folder: Path) -> GenerateParams:
    """How a final model's captions are decoded; a baseline does not say, and gets the defaults.

    Raises UserError if what is said are no such settings.
    """
    said = read_params(folder).get("generate")
    if said is None:
        return GenerateParams()
    return validated(GenerateParams, said, folder / PARAMS_FILE)


def copy_with_card(folder: Path, out: Path, card: Path | None) -> None:
    """Copy a model folder to `out`, with `card` as its model card; an older one is replaced.

    Raises UserError if the model is not whole, the card is missing, or `out` cannot be written.
    """
    check_complete(folder)
    names = [*FILES, *(n for n in (DISCRIMINATOR_FILE, CARD_FILE) if (folder / n).is_file())]
    with replacing_folder(out) as partial:
        for name in names:
            shutil.copyfile(folder / name, partial / name)
        if card is not None:
            if not card.is_file():
                raise UserError(
                    f"there is no model card {card}: run dvc repro evaluate to have one"
                )
            shutil.copyfile(card, partial / CARD_FILE)


def push(folder: Path, repo: str, private: bool | None, token: str | None) -> str:
    """Upload a model folder, in one commit. Returns the URL of it.

    Raises UserError if the Hub refuses.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Add the model")
    except Exception as error:
        raise UserError(
            f"{repo} could not be pushed to the Hugging Face Hub ({reason(error, named=True)}): "
            "log in with hf auth login, and give a name of your own, OWNER/NAME"
        ) from error
    return str(commit)
