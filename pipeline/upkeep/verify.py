"""Every checksum of the encode cache, and damaged files out of the way."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.common.errors import reason
from pipeline.common.files import writing
from pipeline.common.progress import progress_bar
from pipeline.features.cache import open_shard
from pipeline.upkeep.inventory import Encoder

DAMAGED = ".damaged"
"""What the name of a file that was set aside ends in."""


def verify(encoders: Sequence[Encoder]) -> Iterator[tuple[Path, str]]:
    """Read all chunk files from end to end.

    Yields:
        A file that is of no use, and why.
    """
    files = [(encoder, path) for encoder in encoders for path in encoder.files()]
    for encoder, path in progress_bar(files, "verify", unit="file"):
        try:
            open_shard(path, encoder.fingerprint)
        except FileNotFoundError:
            continue  # another process removed it
        except OSError as error:
            yield path, reason(error)


def set_aside(path: Path) -> Path:
    """Rename a file so that nothing reads it any more, and the next run encodes what it held.

    Raises:
        CannotWriteError: if that may not be.
    """
    aside = path.with_name(path.name + DAMAGED)
    with writing(path):
        path.replace(aside)
    return aside
