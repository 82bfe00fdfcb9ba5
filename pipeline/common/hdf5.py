"""HDF5 files as bytes: built in memory, since the library may crash where its disk fails.

A *sealed* file begins with the SHA-256 of all that follows, in the user block that HDF5 leaves to
its users, so that damage is found before the library sees it, which may crash over it or never end;
any HDF5 reader opens it. Only what fits into memory is written this way.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from pipeline.common.files import UnreadableError

SEAL_BYTES = 512
"""The least that a user block can be."""
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def sealed_bytes(datasets: Mapping[str, NDArray[Any]], attributes: Mapping[str, Any]) -> bytes:
    """A sealed HDF5 file of datasets, strings among them as objects, and attributes of the whole.

    The same bytes for the same content: no time stamps, one fixed version of the format.
    """
    with h5py.File(
        "in memory",
        "w",
        driver="core",
        backing_store=False,
        libver=("v110", "v110"),
        userblock_size=SEAL_BYTES,
    ) as file:
        for name, values in datasets.items():
            dtype = h5py.string_dtype() if values.dtype == object else values.dtype
            file.create_dataset(name, data=values, dtype=dtype, track_times=False)
        file.attrs.update(attributes)
        # A flush borrows space at the end of the file, which the next one gives back.
        file.flush()
        file.flush()
        content: bytes = file.id.get_file_image()
    return _seal(hashlib.sha256(content).hexdigest()) + content


@contextmanager
def open_sealed(path: Path) -> Iterator[h5py.File]:
    """Open a file of `sealed_bytes`, read through once for its checksum; no more of it is held.

    Raises:
        OSError: it cannot be read; an `UnreadableError` where it holds other bytes.
    """
    with path.open("rb", buffering=0) as stream:
        seal = stream.read(SEAL_BYTES)
        if seal.startswith(_SIGNATURE):
            raise UnreadableError("it is of another version of this code")
        if seal != _seal(hashlib.file_digest(stream, "sha256").hexdigest()):
            raise UnreadableError("its content does not match its checksum")
    # No locks: files are never written in place, and network file systems refuse them.
    with h5py.File(path, "r", locking=False) as file:
        yield file


def _seal(digest: str) -> bytes:
    return f"sha256 {digest}\n".encode().ljust(SEAL_BYTES, b"\0")
