"""What would be kept of stories of one's own: `storycache check PATH`."""

import glob
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from pipeline.common.errors import UserError
from pipeline.common.progress import progress_bar
from pipeline.dataset.splits import PARTS, StoryLength, make_splits
from pipeline.params import Params, load_params
from pipeline.prepare.catalogue import Located, judge
from pipeline.prepare.examination import Story
from pipeline.prepare.summary import Summary
from pipeline.sources.files import show
from pipeline.sources.folder import folder_stories
from pipeline.sources.jsonl import jsonl_stories
from pipeline.sources.parquet import parquet_stories
from pipeline.sources.source import Source
from pipeline.stories.schema import SPLITS


def command(
    path: Annotated[Path, typer.Argument(metavar="PATH")],
    params: Annotated[Path, typer.Option(help="Defaults are taken where it is missing.")] = Path(
        "params.yaml"
    ),
) -> None:
    """Which of your own stories would be kept, and why not the rest.

    PATH is a folder with a folder for each story, JSON lines, or a file, folder or glob of parquet.
    Runs what download, prepare and split run by these params, and writes nothing.
    """
    check(path, load_params(params) if params.is_file() else Params())


def check(path: Path, settings: Params) -> None:
    """Print each story that would be refused or cut with its reason, and what would be kept.

    Args:
        path: as of `command`.
        settings: whose `dataset`, `context` and `split` say what is bad and how many frames are
            needed.

    Raises:
        UserError: if a run would stop: there are no stories there, a file cannot be read, no story
            is kept, or no part of the split has one.
    """
    dataset = settings.dataset
    keys, source = _open(path)
    print(f"dataset.source: {', '.join(keys)}")
    summary, lengths = Summary(), []
    located = progress_bar(_located(source, dataset.limit_stories), "check", unit="story")
    for judged in judge(located, dataset.bad_frame, dataset.max_megapixels):
        summary.add(judged.split, judged.row, judged.outcome, judged.elsewhere)
        if entry := judged.complaint():
            name = show(str(entry["story_id"]))
            where = f"{entry['split']} {entry['row']}, {name}"
            print(f"{where}: {entry['reason']} ({entry['kind']}: {entry['detail']})")
        if isinstance(judged.outcome, Story):
            lengths.append(
                StoryLength(judged.outcome.story_id, judged.split, len(judged.outcome.captions))
            )
    if warning := summary.warning():
        print(f"warning: {warning}")
    print(summary.sentence())
    if not summary.kept:
        raise UserError(f"{path}: not a single story can be used")
    _print_figures(summary)
    parts = make_splits(
        lengths, settings.context.k, settings.split.test, settings.split.val_fraction, settings.seed
    )
    shares = ", ".join(f"{len(parts[name])} {name}" for name in PARTS)
    print(f"with context.k {settings.context.k} and split.test {settings.split.test}: {shares}")


def _open(path: Path) -> tuple[list[str], Source]:
    """Open what lies at a path, and say by which keys of params.yaml."""
    if path.suffix == ".parquet":
        return _parquet(str(path), None)
    if path.is_file() or (path / "train.jsonl").is_file():
        return ["jsonl", f"dataset.jsonl.path: {path}"], jsonl_stories(str(path))
    if any(glob.iglob(f"{glob.escape(str(path))}/**/*.parquet", recursive=True)):
        return _parquet(*_places(path))
    return ["folder", f"dataset.folder.path: {path}"], folder_stories(str(path))


def _places(folder: Path) -> tuple[str, str | None]:
    """Where a folder of parquet has its stories for training and for testing."""
    for names in ("{}", "**/{}*.parquet"):  # a folder for each, or files such as the Hub's
        train, test = (f"{glob.escape(str(folder))}/{names.format(split)}" for split in SPLITS)
        if glob.glob(train, recursive=True):
            return train, test if glob.glob(test, recursive=True) else None
    return str(folder), None


def _parquet(train: str, test: str | None) -> tuple[list[str], Source]:
    keys = ["parquet", f"dataset.parquet.train: {train}"]
    if test is not None:
        keys.append(f"dataset.parquet.test: {test}")
    return keys, parquet_stories(train, test)


def _located(source: Source, limit: int | None) -> Iterator[Located]:
    for split in SPLITS:
        rows = source.rows[split]() if split in source.rows else iter(())
        for number, row in enumerate(itertools.islice(rows, limit)):
            yield f"{split}/", number, row


def _print_figures(summary: Summary) -> None:
    table = summary.table()
    frames, words = table["frames_per_story"], table["words_per_caption"]
    print(
        f"{', '.join(f'{count} {split}' for split, count in table['kept'].items() if count)}; "
        f"{table['frames']} frames, {frames['min']} to {frames['max']} a story; "
        f"{words['mean']:.1f} words a caption"
    )
