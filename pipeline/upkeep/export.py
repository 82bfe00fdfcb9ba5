"""Embeddings for other tools: vectors in their formats, and beside them what each row is."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.common.checksums import replacing_folder
from pipeline.common.errors import UserError
from pipeline.common.keys import KeyIndex, Keys
from pipeline.features.store import FeatureStore, key_array
from pipeline.stories.frames import read_frames
from pipeline.upkeep.inventory import KEY_COLUMNS

KEYS_FILE, FRAMES_FILE = "keys.parquet", "frames.parquet"
HOW_TO_FAISS = "faiss is not installed here: pip install faiss-cpu"


def export(store: FeatureStore, form: str, out: Path, frames: Path | None = None) -> int:
    """Write the embeddings of a store, or of an encoder's folder of the cache, into a new folder.

    `keys.parquet` names the content of each row: SHA-256 in hex. With a frames table,
    `frames.parquet` names the row of each frame.

    Args:
        form: of `FORMS`.
        frames: the table whose frames the store holds.

    Returns:
        How many rows there are.

    Raises:
        UserError: `out` is there and not empty, cannot be written, a library is missing, or the
            store lacks frames of the table.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already: name a folder that is new or empty")
    keys = store.keys
    keys = keys[KeyIndex(keys).find(keys) == np.arange(len(keys))]  # the first of equal ones
    with replacing_folder(out) as folder:
        FORMS[form](store, len(keys), folder)
        names = pa.table({"key": [key.tobytes().hex() for key in keys]})
        pq.write_table(names, folder / KEYS_FILE)
        if frames is not None:
            pq.write_table(_frame_rows(store, keys, frames), folder / FRAMES_FILE)
    return len(keys)


def _frame_rows(store: FeatureStore, keys: Keys, frames: Path) -> pa.Table:
    column = KEY_COLUMNS[store.attributes["modality"]]
    table = read_frames(frames, ["story_id", "frame_index", column])
    rows = KeyIndex(keys).find(key_array(table.column(column)))
    missing = int(np.count_nonzero(rows < 0))
    if missing:
        raise UserError(
            f"{missing} of {len(rows)} frames of {frames} are not in {store.folder}: run dvc "
            "repro, or leave frames out with --no-frames"
        )
    return table.drop_columns([column]).append_column("row", pa.array(rows))


def _distinct(store: FeatureStore) -> Iterator[tuple[Keys, np.ndarray]]:
    """Rows of a store part by part; of those that occur again, the first."""
    index, start = KeyIndex(store.keys), 0
    for keys, vectors in store.parts():
        first = index.find(keys) == np.arange(start, start + len(keys))
        start += len(keys)
        yield keys[first], vectors[first]


def _unit(store: FeatureStore) -> Iterator[np.ndarray]:
    """float32 [n, D], part by part, of unit norm beyond the rounding of what is stored."""
    for _, vectors in _distinct(store):
        rows = vectors.astype(np.float32)
        yield rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _npy(store: FeatureStore, rows: int, folder: Path) -> None:
    path = folder / "vectors.npy"
    shape = (rows, store.dim)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    start = 0
    for vectors in _unit(store):
        out[start : start + len(vectors)] = vectors
        start += len(vectors)
    out.flush()


def _faiss(store: FeatureStore, rows: int, folder: Path) -> None:
    try:
        import faiss
    except ImportError:
        raise UserError(HOW_TO_FAISS) from None
    index = faiss.IndexFlatIP(store.dim)  # of unit vectors, the inner product is the cosine
    for vectors in _unit(store):
        index.add(vectors)
    faiss.write_index(index, str(folder / "index.faiss"))


def _parquet(store: FeatureStore, rows: int, folder: Path) -> None:
    with pq.ParquetWriter(folder / "embeddings.parquet", _schema(store)) as writer:
        for table in _tables(store):
            writer.write_table(table)


def _hugging_face(store: FeatureStore, rows: int, folder: Path) -> None:
    import datasets

    tables = (table.cast(_schema(store, pa.float32())) for table in _tables(store))
    whole = datasets.Dataset(pa.concat_tables(tables))
    whole.save_to_disk(folder / "dataset")


def _schema(store: FeatureStore, dtype: pa.DataType | None = None) -> pa.Schema:
    vector = pa.list_(dtype or pa.float16(), store.dim)
    about = {f"storycache.{name}": str(value) for name, value in store.attributes.items()}
    return pa.schema([("key", pa.string()), ("embedding", vector)], about if not dtype else None)


def _tables(store: FeatureStore) -> Iterator[pa.Table]:
    """Keys in hex, and the vectors as they are stored."""
    for keys, vectors in _distinct(store):
        flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
        columns = [
            pa.array([key.tobytes().hex() for key in keys], pa.string()),
            pa.FixedSizeListArray.from_arrays(flat, store.dim),
        ]
        yield pa.Table.from_arrays(columns, schema=_schema(store))


FORMS: dict[str, Callable[[FeatureStore, int, Path], None]] = {
    "npy": _npy,
    "parquet": _parquet,
    "hf": _hugging_face,
    "faiss": _faiss,
}
"""NumPy and faiss in float32; parquet in float16 as stored; Hugging Face's datasets in float32."""
