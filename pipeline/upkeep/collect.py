"""What of the encode cache nobody needs any more."""

import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from pipeline.common.chunks import INDEX
from pipeline.common.files import writing
from pipeline.common.keys import Keys
from pipeline.features.cache import ENCODER_FILE
from pipeline.upkeep.inventory import KEY_COLUMNS, Encoder, keys_needed
from pipeline.upkeep.verify import DAMAGED

YOUNG_SECONDS = 3600.0
"""A file that is younger stays: a run that goes on may have just written it."""
LEFT_OVER = (".*.partial", f"*{DAMAGED}")
"""What killed runs and `verify --repair` leave."""


@dataclass(frozen=True)
class Garbage:
    """Files of one encoder that may go."""

    encoder: Encoder
    files: dict[Path, int]
    """Bytes of each."""
    rows: int
    """In the whole chunk files among them."""


def needed(datasets: Collection[Path]) -> dict[str, Keys]:
    """The contents of some frames tables, by modality.

    Raises:
        UserError: one cannot be read.
    """
    return {
        modality: np.concatenate([keys_needed(frames, modality) for frames in datasets])
        for modality in KEY_COLUMNS
    }


def unused_since(encoders: Sequence[Encoder], days: float) -> list[Encoder]:
    """Those that nothing has used for so many days; of those that do not say, by their files."""
    limit = datetime.now() - timedelta(days=days)
    return [encoder for encoder in encoders if _last_use(encoder) < limit]


def find_garbage(encoder: Encoder, keep: Mapping[str, Keys] | None) -> Garbage:
    """Chunk files in which no row is needed, and what killed runs left.

    A file with one needed row stays whole. Of a row that several files hold, one file is enough.

    Args:
        keep: what is needed, by modality; None if nothing is.
    """
    cache = encoder.cache()
    rows = cache.files()
    kept = set() if keep is None else cache.files_of(keep[encoder.modality])
    young = time.time() - YOUNG_SECONDS
    found: dict[Path, int] = {}
    chunks = [encoder.folder / name for name in rows if name not in kept]
    others = [path for pattern in LEFT_OVER for path in encoder.folder.rglob(pattern)]
    for path in chunks + others:
        with suppress(FileNotFoundError):
            state = path.stat()
            if state.st_mtime < young:
                found[path] = state.st_size
    return Garbage(encoder, found, sum(rows.get(path.name, 0) for path in found))


def remove(garbage: Garbage) -> None:
    """Delete these files; with the last chunk file go the index and the folder too.

    Raises:
        CannotWriteError: if that may not be.
    """
    folder = garbage.encoder.folder
    with writing(folder):
        for path in garbage.files:
            path.unlink(missing_ok=True)
    if not garbage.encoder.files():
        shutil.rmtree(folder / INDEX, ignore_errors=True)
        with suppress(OSError):  # another process writes there, or there are files of others
            (folder / ENCODER_FILE).unlink(missing_ok=True)
            folder.rmdir()


def _last_use(encoder: Encoder) -> datetime:
    dates = [path.stat().st_mtime for path in encoder.files()]
    return encoder.used or datetime.fromtimestamp(max(dates, default=0.0))
