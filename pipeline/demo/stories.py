"""Stories that the page can show besides a visitor's own, where the data of a run are at hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.common.errors import UserError
from pipeline.dataset.splits import read_splits
from pipeline.evaluation.results import PREDICTIONS_FILE, Record, images_of, read_records
from pipeline.features.store import FeatureStore, key_array
from pipeline.images.reader import Place
from pipeline.stories.frames import read_frames

EXAMPLES = 8
BLOCK = 4096
"""Frames whose embeddings are compared at a time."""
MODALITIES = ("image", "text")


@dataclass(frozen=True)
class Example:
    """A story of the test split."""

    story_id: str
    captions: list[str]
    pictures: list[int]
    """Numbers of the pictures of its context, among those of `Examples`."""
    target: int
    """Number of the picture that comes next."""
    reference: str
    """The caption that comes next."""


class Examples:
    """Some stories of the test split, as the evaluation left them."""

    def __init__(self, data: Path, k: int):
        """Read them from `eval/predictions.jsonl` under `data`.

        Raises UserError if it cannot be read, or its stories are not of K frames.
        """
        self._places: list[Place] = []
        path = data / "eval" / PREDICTIONS_FILE
        records = [record for record in read_records(path) if record["split"] == "test"]
        if any(len(record["context"]) != k for record in records):
            raise UserError(f"{path} is of a model that reads another number of frames than {k}")
        step = max(1, len(records) // EXAMPLES)
        self.stories = [self._example(record) for record in records[::step][:EXAMPLES]]

    def _example(self, record: Record) -> Example:
        first = len(self._places)
        self._places += images_of(record)
        *context, target = range(first, len(self._places))
        return Example(record["story_id"], record["context"], context, target, record["reference"])

    def place(self, number: int) -> Place:
        """Where a picture lies; raises IndexError for a number that none has."""
        return self._places[number]


@dataclass(frozen=True)
class Neighbour:
    """A frame that a training story went on with."""

    story_id: str
    frame: int
    """From 1."""
    caption: str
    picture: int
    """Its number among those of `TrainingFrames`."""
    cosine: float
    """Mean of those to the predicted embedding of the image and of the caption."""


class TrainingFrames:
    """The frames that a model learnt to predict, with their features."""

    def __init__(self, data: Path, k: int, fingerprints: Mapping[str, str]):
        """Read them from `stories` and `features` under `data`.

        Args:
            k: frames of context; the frames before them are nobody's target.
            fingerprints: of the model's CLIP, by modality.

        Raises:
            UserError: files are missing, or the features are of another CLIP.
        """
        splits = read_splits(data / "stories" / "splits.json")
        frames = read_frames(
            data / "stories" / "frames.parquet", only={"story_id": splits["train"]}
        )
        self._frames = frames.filter(pc.greater_equal(frames.column("frame_index"), k))
        self._features = [
            self._read(data / "features" / modality, key, fingerprints[modality])
            for modality, key in zip(MODALITIES, ("image_key", "caption_key"), strict=True)
        ]
        self.stories = pc.count_distinct(self._frames.column("story_id")).as_py()
        self._frames = self._frames.drop_columns(["image_key", "caption_key"])

    def __len__(self) -> int:
        return len(self._frames)

    def _read(self, folder: Path, key: str, fingerprint: str) -> NDArray[np.float16]:
        store = FeatureStore.open(folder)
        if store.fingerprint != fingerprint:
            raise UserError(f"{folder} is of another CLIP than the model")
        return store.lookup(key_array(self._frames.column(key))).astype(np.float16)

    def nearest(
        self, image: NDArray[np.float32], text: NDArray[np.float32], count: int
    ) -> list[Neighbour]:
        """The frames nearest to what a model predicts, at most one of a story, nearest first.

        Args:
            image, text: the predicted embeddings, [dim_image] and [dim_text], unit norm.
            count: how many to give, if there are as many stories.
        """
        cosines = np.zeros(len(self), np.float32)
        for features, predicted in zip(self._features, (image, text), strict=True):
            for start in range(0, len(self), BLOCK):
                block = features[start : start + BLOCK].astype(np.float32)
                cosines[start : start + BLOCK] += block @ predicted / len(MODALITIES)
        found: dict[str, Neighbour] = {}
        for row in np.argsort(-cosines, kind="stable").tolist():
            if len(found) == count:
                break
            frame = self._row(row)
            found.setdefault(
                frame["story_id"],
                Neighbour(
                    frame["story_id"],
                    frame["frame_index"] + 1,
                    frame["caption"],
                    row,
                    float(cosines[row]),
                ),
            )
        return list(found.values())

    def place(self, number: int) -> Place:
        """Where a picture lies; raises IndexError for a number that none has."""
        frame = self._row(number)
        return Place(frame["image_file"], frame["image_row"], frame["image_index"])

    def _row(self, number: int) -> dict[str, Any]:
        if not 0 <= number < len(self):
            raise IndexError(number)
        (row,) = self._frames.slice(number, 1).to_pylist()
        return row
