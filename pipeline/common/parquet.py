"""Parquet files between processes: written whole and sealed, checked where they are opened.

A seal is the SHA-256 of all of a file's other bytes. It stands between the last page and the
footer, where readers of parquet never look and tools that rewrite a file do not carry it on.
Parquet's own checksums, written as well for readers other than ours, cover the data of pages alone:
neither their headers nor the footer, a changed bit of which gives other rows or breaks a reader.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.common.errors import UserError, reason
from pipeline.common.files import replacing

ROWS_PER_TABLE = 256
TABLES_PER_GROUP = 16
ROWS_PER_GROUP = ROWS_PER_TABLE * TABLES_PER_GROUP
"""Of what a `RowWriter` writes."""

_LABEL = b"\0storycache-seal"
_SEAL_BYTES = len(_LABEL) + hashlib.sha256().digest_size
_MAGIC = b"PAR1"
_TRAILER_BYTES = 4 + len(_MAGIC)  # the footer's length, little-endian, and the magic
_CHUNK_BYTES = 1 << 20

# What Arrow raises for bytes that are no parquet; its OSErrors of that kind have no errno.
_BROKEN = (pa.ArrowException, OSError, UnicodeDecodeError)


@contextmanager
def writing_parquet(path: Path, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """Open a parquet file for writing; it appears at `path` complete and sealed, at clean exit.

    Args:
        path: parent folders are made; what is there is replaced.
        options: further arguments of `ParquetWriter`.

    Raises:
        OSError: if it cannot be written, as of a full disk; `path` is as it was.
    """
    with replacing(path) as partial:
        with pq.ParquetWriter(partial, schema, write_page_checksum=True, **options) as writer:
            yield writer
        _seal(partial)


class RowWriter:
    """Collects rows and writes them by row groups of a fixed size.

    Most of what waits for its group waits in columns: as dicts, the rows of one group would be the
    largest thing that the prepare stage holds.
    """

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._rows: list[dict[str, Any]] = []
        self._tables: list[pa.Table] = []  # of ROWS_PER_TABLE rows each

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Take some rows, in order."""
        self._rows.extend(rows)
        while len(self._rows) >= ROWS_PER_TABLE:
            self._tables.append(self._table(self._rows[:ROWS_PER_TABLE]))
            self._rows = self._rows[ROWS_PER_TABLE:]
            if len(self._tables) == TABLES_PER_GROUP:
                self._write()

    def finish(self) -> None:
        """Write what is left."""
        if self._rows:
            self._tables.append(self._table(self._rows))
            self._rows = []
        if self._tables:
            self._write()

    def _table(self, rows: list[dict[str, Any]]) -> pa.Table:
        return pa.Table.from_pylist(rows, schema=self._writer.schema)

    def _write(self) -> None:
        # In one piece: the pages of a row group would otherwise end where a table ends.
        self._writer.write_table(pa.concat_tables(self._tables).combine_chunks())
        self._tables = []


@contextmanager
def writing_rows(path: Path, schema: pa.Schema) -> Iterator[RowWriter]:
    """As `writing_parquet`, for rows that come a few at a time; compressed."""
    with writing_parquet(path, schema, compression="zstd") as parquet:
        writer = RowWriter(parquet)
        yield writer
        writer.finish()


@contextmanager
def open_parquet(path: Path, stage: str | None = None) -> Iterator[pq.ParquetFile]:
    """Open a parquet file that is what was written, and put into words what goes wrong within.

    A file with a seal is read once to the end for it, a block at a time; one without, such as
    another program writes, is taken as it is, with its page checksums where it has them. A row
    group is never read ahead, so that `iter_batches` holds a page and a batch, however large the
    group.

    Args:
        stage: what writes the file, for the sentence of the error; None for a user's own file.

    Raises:
        UserError: if the file is missing, damaged or no parquet; also for errors of Arrow's that
            the body of the `with` runs into.
    """
    again = f"delete it and run dvc repro {stage}" if stage else "write it again"
    try:
        with path.open("rb") as file:
            intact = _intact(file)
        if intact is False:
            raise UserError(
                f"{path} is damaged: its bytes are not those that were written; {again}"
            )
        opened = pq.ParquetFile(
            path,
            buffer_size=_CHUNK_BYTES,
            pre_buffer=False,
            page_checksum_verification=intact is None,  # else all bytes are known to be right
        )
    except FileNotFoundError:
        made = f"run the {stage} stage (dvc repro {stage})" if stage else "give another path"
        raise UserError(f"{path} is missing; {made}") from None
    except _BROKEN as error:
        raise _unreadable(path, error, again) from None
    with opened:
        try:
            yield opened
        except _BROKEN as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of a disk, and perhaps of another file than this
            raise _unreadable(path, error, again) from None


def _unreadable(path: Path, error: Exception, again: str) -> UserError:
    return UserError(f"{path} cannot be read as parquet ({reason(error)}); {again}")


def _seal(path: Path) -> None:
    """Put the digest of a finished file before its footer."""
    with path.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        footer_bytes = _footer_bytes(file)
        assert footer_bytes is not None, "a ParquetWriter ends its file with a footer"
        file.seek(-footer_bytes, os.SEEK_END)
        footer = file.read()
        file.seek(-footer_bytes, os.SEEK_END)
        file.write(_LABEL + digest + footer)


def _intact(file: BinaryIO) -> bool | None:
    """Whether a file's bytes are those that were sealed; None for what was never sealed."""
    size = file.seek(0, os.SEEK_END)
    footer_bytes = _footer_bytes(file)
    if footer_bytes is None or footer_bytes + _SEAL_BYTES > size:
        return None
    start = size - footer_bytes - _SEAL_BYTES
    file.seek(start)
    seal = file.read(_SEAL_BYTES)
    if not seal.startswith(_LABEL):
        return None
    digest = hashlib.sha256()
    file.seek(0)
    for first in range(0, start, _CHUNK_BYTES):
        digest.update(file.read(min(_CHUNK_BYTES, start - first)))
    file.seek(start + _SEAL_BYTES)
    digest.update(file.read())
    return digest.digest() == seal[len(_LABEL) :]


def _footer_bytes(file: BinaryIO) -> int | None:
    """The size of a file's footer with its length and the magic; None if it does not end so."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TRAILER_BYTES))
    trailer = file.read()
    if not trailer.endswith(_MAGIC) or len(trailer) < _TRAILER_BYTES:
        return None
    return int.from_bytes(trailer[:4], "little") + _TRAILER_BYTES
