"""A folder of one's own as a source: a folder for each story, with pictures and captions.

    stories/
        a walk/            its name is the story's id
            1.jpg          pictures in natural order: 2.jpg before 10.jpg
            1.txt          the caption of 1.jpg
        at sea/
            a.png
            b.png
            captions.csv   or all captions in one file, of the columns image and caption

Or `stories/train/` and `stories/test/` with such folders. Hidden files are passed over.
"""

import csv
import functools
import io
import json
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.common.errors import UserError, reason
from pipeline.sources.files import (
    Files,
    UnreadableError,
    as_text,
    is_text,
    plain_story,
    show,
    unread,
)
from pipeline.sources.source import Rows, Source
from pipeline.stories.schema import SPLITS, Row, Split

PICTURES = frozenset(
    ".apng .avif .avifs .bmp .bw .dib .gif .icb .ico .j2c .j2k .jfif .jp2 .jpc .jpe .jpeg .jpf .jpg"
    " .jpx .pbm .pcx .pfm .pgm .png .pnm .ppm .qoi .rgb .rgba .sgi .tga .tif .tiff .vda .vst .webp"
    " .eps .heic .heif .hif .jxl .svg".split()
)
"""By these endings a file is a picture of its story. Those of the last line are not decoded, and
named here so that their story is set aside rather than told without them."""

TABLES = ("captions.jsonl", "captions.csv", "captions.txt")
"""One file with all captions of a story, in place of one beside each picture."""


def folder_stories(path: str) -> Source:
    """Open a folder of stories.

    Args:
        path: a folder with a folder for each story, or with `train` and perhaps `test` that hold
            such folders.

    Returns:
        Their rows, in natural order of the folders' names. What cannot be read of a story is in its
        row (`unread`). The origin has the number, size and SHA-256 of all files that were read.

    Raises:
        UserError: if there is no such folder, or no story in it.
    """
    root = Path(path)
    if not root.is_dir():
        raise UserError(
            f"dataset.folder.path: there is no folder {root}; give one with a folder for each story"
        )
    files = Files(root)
    try:
        stories = _stories(files)
    except UnreadableError as error:
        raise UserError(f"dataset.folder.path: {root}: {error}; give another folder") from None
    if not stories["train"]:
        raise UserError(
            f"dataset.folder.path: {root} holds no folders for stories; put the pictures and "
            "captions of each story into a folder of its own there"
        )
    rows: dict[Split, Rows] = {
        split: functools.partial(_rows, files, folders) for split, folders in stories.items()
    }
    return Source(rows, lambda: {"source": "folder", **files.origin()})


def frames_in(path: Path) -> list[tuple[bytes, str | None]]:
    """The frames of one story in a folder: each picture's encoded bytes, and its caption if any.

    Raises:
        UserError: there is no picture, or a file cannot be read.
    """
    files = Files(path)
    row = _story(files, Path("."))
    if not row["images"]:
        raise UserError(f"{path} holds no pictures; give the folder of one story")
    frames = []
    for image, caption in zip(row["images"], row["story"], strict=True):
        if image["bytes"] is None:
            raise UserError(
                f"{path}: {image['path']}; put it right, or give the pictures one by one"
            )
        frames.append((image["bytes"], caption))
    return frames


def _stories(files: Files) -> dict[Split, list[str]]:
    """The folders of the stories, by split."""
    names = files.names(".", folders=True)
    if "train" not in names or _pictures(files.names("train", folders=False)):
        return {"train": names}
    if others := [name for name in names if name not in SPLITS]:
        print(
            f"dataset.folder.path: {files.folder} has train, so that what else it has is not used "
            f"({', '.join(map(show, others[:5]))})",
            file=sys.stderr,
        )
    return {
        split: [f"{split}/{name}" for name in files.names(split, folders=True)]
        for split in SPLITS
        if split in names
    }


def _rows(files: Files, folders: list[str]) -> Iterator[Row]:
    return (_story(files, Path(folder)) for folder in folders)


def _story(files: Files, folder: Path) -> Row:
    """Read the story in a folder, given relative to that of `files`."""
    frames: list[tuple[Row, str | None]] = []
    try:
        names = files.names(str(folder), folders=False)
        pictures = _pictures(names)
        captions = _table(files, folder, names, pictures)
        beside = {_key(Path(name).stem): name for name in names if name.lower().endswith(".txt")}
        for name in pictures:
            image = files.read_image(str(folder / name))
            caption = None
            if captions is not None:
                caption = captions.get(_key(name))
            elif (text := beside.get(_key(Path(name).stem))) is not None:
                try:
                    caption = files.read_text(str(folder / text))
                except UnreadableError as error:
                    image = unread(error)
            frames.append((image, caption))
    except UnreadableError as error:
        frames = [(unread(error), None)]
    return plain_story(as_text(folder.name), frames)


def _table(
    files: Files, folder: Path, names: list[str], pictures: list[str]
) -> dict[str, str | None] | None:
    """Read a story's one file of captions, as caption by picture; None if it has no such file."""
    tables = [name for name in names if name.lower() in TABLES]
    if not tables:
        return None
    if len(tables) > 1:
        raise UnreadableError(f"{' and '.join(tables)} are there; leave one")
    name = tables[0]
    text = files.read_text(str(folder / name))
    kind = Path(name).suffix.lower()
    if kind == ".txt":
        lines = text.rstrip().split("\n") if text.strip() else []
        if len(lines) != len(pictures):
            raise UnreadableError(
                f"{name} has not a line for each picture ({len(lines)} for {len(pictures)})"
            )
        return dict(zip(map(_key, pictures), lines, strict=True))
    captions: dict[str, str | None] = {}
    there = set(map(_key, pictures))
    for picture, caption in (_of_jsonl if kind == ".jsonl" else _of_csv)(name, text):
        key = _key(picture)
        if key not in there:
            raise UnreadableError(f"{name} names {show(picture)}, which is not there")
        if key in captions:
            raise UnreadableError(f"{name} names {show(picture)} twice")
        captions[key] = caption
    return captions


def _of_jsonl(name: str, text: str) -> Iterator[tuple[str, str | None]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            picture, caption = values["image"], values.get("caption")
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
            picture = caption = None
        if not is_text(picture) or not (caption is None or is_text(caption)):
            raise UnreadableError(f'{name}, line {number} is not {{"image": ..., "caption": ...}}')
        yield picture, caption


def _of_csv(name: str, text: str) -> Iterator[tuple[str, str | None]]:
    head = text.split("\n", 1)[0]
    separator = next((mark for mark in ",;\t" if mark in head), ",")
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
        columns = rows.fieldnames or ()
        if not {"image", "caption"} <= set(columns):
            found = show(", ".join(columns)) or "none"
            raise UnreadableError(f"{name} needs the columns image and caption, and has {found}")
        for row in rows:
            if row["image"] is None or None in row:
                raise UnreadableError(
                    f"{name}, line {rows.line_num} has not as many values as the first; put quotes "
                    "around captions"
                )
            yield row["image"], row["caption"]
    except csv.Error as error:
        raise UnreadableError(f"{name} cannot be read as CSV ({reason(error)})") from None


def _pictures(names: Iterable[str]) -> list[str]:
    return [name for name in names if Path(name).suffix.lower() in PICTURES]


def _key(name: str) -> str:
    """A name as any system spells it: accents are composed on some and not on others."""
    return unicodedata.normalize("NFC", name)
