"""Sampled captions with all that training on them needs, and the HDF5 file that keeps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.common.errors import UserError
from pipeline.common.files import UnreadableError, reading, write_bytes
from pipeline.common.hdf5 import open_sealed, sealed_bytes

FORMAT_VERSION = 2


@dataclass(frozen=True)
class Samples:
    """M captions that a generator has sampled."""

    key: NDArray[np.uint8]
    """What each was made from, [M, 32]: SHA-256 of its context and its seed."""
    story: NDArray[np.object_]
    """Story id of each, [M]."""
    text: NDArray[np.object_]
    """The captions, [M]."""
    length: NDArray[np.int64]
    """Tokens of each, [M], a closing end-of-text included."""
    token: NDArray[np.int64]
    """All their token ids in a row, [sum of length]."""
    logprob: NDArray[np.float32]
    """Log-probability in nats of each token under the generator that wrote it, same shape."""
    finished: NDArray[np.bool_]
    """Whether a caption ends in end-of-text, [M]."""
    embedding: NDArray[np.float16]
    """CLIP text embeddings of the captions, [M, D], unit norm."""

    def __len__(self) -> int:
        return len(self.key)

    @classmethod
    def none(cls, dim: int) -> "Samples":
        """No captions at all."""
        return cls(
            np.zeros((0, 32), np.uint8),
            np.zeros(0, object),
            np.zeros(0, object),
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
            np.zeros(0, np.float32),
            np.zeros(0, np.bool_),
            np.zeros((0, dim), np.float16),
        )

    @classmethod
    def join(cls, parts: Sequence["Samples"]) -> "Samples":
        """The rows of one or more `Samples`, in order."""
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> "Samples":
        """The rows `rows`, in that order."""
        chosen = np.array(rows, np.int64)
        edges = list(pairwise(np.r_[0, self.length.cumsum()].tolist()))
        tokens = np.concatenate([np.zeros(0, np.int64), *(np.arange(*edges[i]) for i in rows)])
        places = {"token": tokens, "logprob": tokens}
        return Samples(
            **{f.name: getattr(self, f.name)[places.get(f.name, chosen)] for f in fields(self)}
        )


def write_samples(path: Path, samples: Samples, attributes: Mapping[str, Any]) -> None:
    """Write one sealed file: a dataset per field of `Samples`; the same bytes for the same rows.

    Args:
        attributes: flat values; what the samples were made by.

    Raises:
        UserError: a number in it is not finite, or the file cannot be written.
    """
    datasets = {field.name: getattr(samples, field.name) for field in fields(samples)}
    for name in ("logprob", "embedding"):
        if not np.isfinite(datasets[name]).all():
            raise UserError(
                f"{path} is not written, as the {name}s of its captions are not all finite: the "
                "weights of the language model or of clip.model are broken"
            )
    write_bytes(path, sealed_bytes(datasets, {"format_version": FORMAT_VERSION, **attributes}))


def read_samples(path: Path) -> tuple[Samples, dict[str, Any]]:
    """Read what `write_samples` wrote: the samples and the attributes.

    Raises:
        UserError: the file is missing, damaged, or of another version of this code.
    """
    with reading(path, "run the captions stage again (dvc repro -f captions)"):
        return open_samples(path)


def open_samples(path: Path) -> tuple[Samples, dict[str, Any]]:
    """As `read_samples`.

    Raises:
        OSError: it cannot be read; an `UnreadableError` where it is damaged, or of another version
            of this code.
    """
    with open_sealed(path) as file:
        attributes = dict(file.attrs)
        if attributes.pop("format_version", None) != FORMAT_VERSION:
            raise UnreadableError("it is of another version of this code")
        values = {field.name: _read(file[field.name]) for field in fields(Samples)}
    return Samples(**values), attributes


def _read(dataset: h5py.Dataset) -> NDArray[Any]:
    if h5py.check_string_dtype(dataset.dtype) is None:
        return np.asarray(dataset[()])
    return np.array(dataset.asstr()[()], dtype=object)
