"""Where stories come from: a dataset in the Hub's layout, or parquet files of one's own.

Both are streamed as rows of `STORY_SCHEMA`; images stay the encoded bytes that they are.
"""

import glob
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.stories.schema import SPLITS, STORY_SCHEMA, check_columns, iter_file

Rows = Callable[[], Iterator[dict[str, Any]]]

OTHER_WAYS = (
    "set dataset.hub.repo to a local folder in the Hub's layout, or dataset.source to sample or "
    "parquet"
)


def hub_stories(repo: str, revision: str) -> dict[str, Rows]:
    """Open a dataset of the Hugging Face Hub, or a local folder in the Hub's layout.

    Args:
        repo: `owner/name`, or a folder such as one with `data/train-00000-of-00002.parquet`.
        revision: branch, tag or commit; without meaning for a local folder.

    Returns:
        For each split that the dataset has (`train`, and `test` if any), what starts its stream.

    Raises:
        UserError: if the Hub cannot be reached, the dataset or the revision does not exist, or it
            is no dataset of stories.
    """
    import datasets  # seconds to import, and no other source needs it

    folder = Path(repo)
    place = str(folder.resolve()) if folder.is_dir() else repo
    try:
        found = datasets.load_dataset(
            place, revision=None if folder.is_dir() else revision, streaming=True
        )
    except datasets.exceptions.DatasetNotFoundError as error:
        raise UserError(
            f"dataset.hub: {repo} at revision {revision} cannot be opened ({_first_line(error)}); "
            f"correct the name, or {OTHER_WAYS}"
        ) from None
    except ConnectionError as error:
        raise _unreachable(repo, error) from None
    except (datasets.exceptions.DatasetsError, FileNotFoundError, ValueError) as error:
        raise UserError(
            f"dataset.hub: {repo} is no dataset of stories ({_first_line(error)}); {OTHER_WAYS}"
        ) from None
    if "train" not in found:
        raise UserError(
            f"dataset.hub: {repo} has no train split, only {', '.join(found)}; a dataset of "
            "stories has train and, perhaps, test"
        )
    return {split: _hub_rows(repo, found[split]) for split in SPLITS if split in found}


def _hub_rows(repo: str, split: Any) -> Rows:
    """Prepare one streamed split: the schema's columns, images as encoded bytes."""
    from datasets.exceptions import DatasetsError

    names = list(split.features or {})
    for name in STORY_SCHEMA.names:
        if name not in names:
            raise UserError(
                f"dataset.hub: {repo} has no column '{name}' in its {split.split} split; stories "
                f"have the columns {', '.join(STORY_SCHEMA.names)}"
            )
    # decode(False) casts every Image feature to Image(decode=False)
    encoded = split.select_columns(STORY_SCHEMA.names).decode(False)

    def rows() -> Iterator[dict[str, Any]]:
        try:
            yield from encoded
        except (ConnectionError, TimeoutError) as error:
            raise _unreachable(repo, error) from None
        except DatasetsError as error:
            raise UserError(
                f"dataset.hub: {repo} does not hold what its description says "
                f"({_first_line(error)}); {OTHER_WAYS}"
            ) from None

    return rows


def _unreachable(repo: str, error: Exception) -> UserError:
    return UserError(
        f"dataset.hub: {repo} cannot be reached over the network ({_first_line(error)}); try again "
        f"when there is a connection, or {OTHER_WAYS}"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def parquet_stories(train: str, test: str | None) -> dict[str, Rows]:
    """Open parquet files of stories; the columns of every file are checked before any is read.

    Args:
        train: a folder, a file or a glob.
        test: the same, or None if there are no stories for testing.

    Returns:
        For each split that is given, what starts its stream; files in the order of their names.

    Raises:
        UserError: if there is no such file, or one lacks a column, naming file and column.
    """
    return {
        split: _parquet_rows(split, place)
        for split, place in zip(SPLITS, (train, test), strict=True)
        if place is not None
    }


def _parquet_rows(split: str, place: str) -> Rows:
    files = _parquet_files(split, place)
    for path in files:
        _check_file(path)

    def rows() -> Iterator[dict[str, Any]]:
        for path in files:
            yield from iter_file(path)

    return rows


def _parquet_files(split: str, place: str) -> list[Path]:
    folder = Path(place)
    if folder.is_dir():
        files = sorted(folder.rglob("*.parquet"))
    elif folder.is_file():
        files = [folder]
    else:
        files = sorted(Path(match) for match in glob.glob(place, recursive=True))
    files = [path for path in files if path.is_file() and not path.name.startswith(".")]
    if not files:
        raise UserError(
            f"dataset.parquet.{split}: no parquet files at {place}; give a folder, a file or a glob"
        )
    return files


def _check_file(path: Path) -> None:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} cannot be read as parquet ({error}); write it again") from None
    check_columns(schema, path)
