"""A dataset in the layout of the Hugging Face Hub as a source: on the Hub, or in a local folder."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.common.errors import UserError, reason
from pipeline.sources.files import with_bytes
from pipeline.sources.source import Rows, Source
from pipeline.stories.columns import STORY_SCHEMA, check_columns, row_of, story_row
from pipeline.stories.schema import SPLITS, Row

OTHER_WAYS = (
    "set dataset.hub.repo to a local folder in the Hub's layout, or dataset.source to sample or "
    "parquet"
)


def hub_stories(repo: str, revision: str, config: str | None = None) -> Source:
    """Open a dataset of the Hub at the commit that a revision names now, or a local folder.

    Splits that are neither train nor test are said on stderr to be left out.

    Args:
        repo: `owner/name`, or a folder such as one with `data/train-00000-of-00002.parquet`.
        revision: branch, tag or commit; without meaning for a local folder.
        config: which of the dataset's configurations; None for the only one.

    Returns:
        Its rows. The origin has the revision, its commit and the license, as far as there are.

    Raises:
        UserError: if the Hub cannot be reached, the dataset, the revision or the configuration
            does not exist, or it is no dataset of stories.
    """
    import datasets  # seconds to import, and no other source needs it

    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what it logs, it raises as well
    folder = Path(repo) if Path(repo).is_dir() else None
    origin = {"source": "hub", "repo": repo, **(_card(folder) if folder else _at(repo, revision))}
    place = str(folder.resolve()) if folder else repo
    commit = None if folder else origin["commit"]
    try:
        origin["config"] = _config(
            repo, config, datasets.get_dataset_config_names(place, revision=commit)
        )
        builder = datasets.load_dataset_builder(place, origin["config"], revision=commit)
        if hasattr(builder.config, "batch_size"):
            builder.config.batch_size = 1  # rows of parquet at a time, else a whole row group
        found = builder.as_streaming_dataset()
    except datasets.exceptions.DatasetNotFoundError as error:
        raise _not_found(repo, revision, reason(error)) from None
    except ConnectionError as error:
        raise _unreachable(repo, error) from None
    except UserError:
        raise
    except Exception as error:  # a card that is no YAML, a file that is no parquet: each its own
        raise UserError(
            f"dataset.hub: {repo} is no dataset of stories ({reason(error)}); {OTHER_WAYS}"
        ) from None
    if "train" not in found:
        raise UserError(
            f"dataset.hub: {repo} has no train split, only {', '.join(found)}; a dataset of "
            "stories has train and, perhaps, test"
        )
    if unused := [split for split in found if split not in SPLITS]:
        print(
            f"dataset.hub: {repo} has splits that are not used ({', '.join(unused)}): stories for "
            "validation are taken from train (split.val_fraction)",
            file=sys.stderr,
        )
    rows = {split: _rows(repo, folder, found[split]) for split in SPLITS if split in found}
    return Source(rows, lambda: origin)


def _at(repo: str, revision: str) -> dict[str, Any]:
    """Ask the Hub which commit a revision is now, and what the dataset's card says."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        info = HfApi().dataset_info(repo, revision=revision)
    except GatedRepoError:
        raise UserError(
            f"dataset.hub: {repo} asks who reads it; accept its terms on its page and run "
            f"hf auth login, or {OTHER_WAYS}"
        ) from None
    except RevisionNotFoundError:
        raise _not_found(repo, revision, "there is no such revision") from None
    except (RepositoryNotFoundError, HFValidationError):
        raise _not_found(repo, revision, "there is no such dataset, or it is private") from None
    except _network_errors() as error:
        raise _unreachable(repo, error) from None
    given = info.card_data.get("license") if info.card_data else None
    return {"revision": revision, "commit": info.sha, "license": given}


def _card(folder: Path) -> dict[str, Any]:
    """Read the license from a local folder's card, if it has one that can be read."""
    from huggingface_hub import metadata_load

    try:
        card = metadata_load(folder / "README.md") or {}
    except Exception:  # of the YAML library's own kinds; the rows do not depend on it
        card = {}
    return {"license": card.get("license")}


def _config(repo: str, wanted: str | None, configs: list[str]) -> str:
    if wanted is None and len(configs) > 1:
        raise UserError(
            f"dataset.hub: {repo} has the configurations {', '.join(configs)}; set "
            "dataset.hub.config to one of them"
        )
    if wanted is not None and wanted not in configs:
        raise UserError(
            f"dataset.hub: {repo} has no configuration {wanted}; set dataset.hub.config to one of "
            f"{', '.join(configs)}"
        )
    return wanted or configs[0]


def _rows(repo: str, folder: Path | None, split: Any) -> Rows:
    """Prepare one streamed split: the schema's columns, images as encoded bytes."""
    from datasets.exceptions import DatasetsError

    place = f"dataset.hub: {repo}, split {split.split}"
    if split.features is None:
        raise UserError(f"{place}: its files do not say their columns; write them as parquet")
    check_columns(split.features.arrow_schema, place)
    names = [name for name in STORY_SCHEMA.names if name in split.features]
    # as tables of one row: images stay encoded, text is decoded here, column by column
    tables = split.select_columns(names).with_format("arrow")

    def read() -> Iterator[pa.Table]:
        try:
            yield from tables.iter(batch_size=1)
        except _network_errors() as error:
            raise _unreachable(repo, error) from None
        except (DatasetsError, pa.ArrowException, OSError, ValueError, TypeError) as error:
            raise UserError(
                f"{place} does not hold what its description says ({reason(error)}); {OTHER_WAYS}"
            ) from None

    def rows() -> Iterator[Row]:
        for number, table in enumerate(read()):
            where = f"{place}, row {number}"
            yield with_bytes(story_row(row_of(table, where), where), folder)

    return rows


def _network_errors() -> tuple[type[Exception], ...]:
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # whichever it uses

    return ConnectionError, TimeoutError, httpx.HTTPError  # the Hub's own are of the last


def _not_found(repo: str, revision: str, why: str) -> UserError:
    return UserError(
        f"dataset.hub: {repo} at revision {revision} cannot be opened ({why}); correct it, or "
        f"{OTHER_WAYS}"
    )


def _unreachable(repo: str, error: Exception) -> UserError:
    return UserError(
        f"dataset.hub: {repo} cannot be reached over the network ({reason(error)}); try again "
        f"when there is a connection, or {OTHER_WAYS}"
    )
