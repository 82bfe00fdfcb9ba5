"""Small raw stories and their frames table, in the real formats."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.stories.frames import FRAMES_SCHEMA
from pipeline.stories.schema import STORY_SCHEMA


@dataclass(frozen=True)
class TinyData:
    raw: Path
    frames: Path
    images: list[bytes]
    captions: list[str]

    def frames_changed(self, name: str, column: str, values: list) -> Path:
        """A copy of the frames table with one column replaced."""
        table = pq.read_table(self.frames)
        number = table.column_names.index(column)
        field = table.schema.field(column)
        path = self.frames.with_name(name)
        pq.write_table(table.set_column(number, field, pa.array(values, field.type)), path)
        return path


def write_data(folder: Path, images: list[list[bytes]], captions: list[list[str]]) -> TinyData:
    """Stories as a raw file of small row groups, and the frames table as prepare writes it."""
    rows, frames = [], []
    for story, (pictures, texts) in enumerate(zip(images, captions, strict=True)):
        rows.append(
            {
                "story_id": f"s{story}",
                "images": [{"bytes": data, "path": f"{i}.jpg"} for i, data in enumerate(pictures)],
                "frame_count": len(pictures),
                "chain_of_thought": "",
                "story": " ".join(texts),
            }
        )
        for index, (data, text) in enumerate(zip(pictures, texts, strict=True)):
            frames.append(
                {
                    "split": "train",
                    "story_id": f"s{story}",
                    "frame_index": index,
                    "n_frames": len(pictures),
                    "caption": text,
                    "image_file": "train/00000.parquet",
                    "image_row": story,
                    "image_index": index,
                    "image_key": hashlib.sha256(data).digest(),
                    "caption_key": hashlib.sha256(text.encode()).digest(),
                }
            )
    (folder / "raw" / "train").mkdir(parents=True)
    pq.write_table(
        pa.Table.from_pylist(rows, schema=STORY_SCHEMA),
        folder / "raw" / "train" / "00000.parquet",
        row_group_size=2,
    )
    pq.write_table(pa.Table.from_pylist(frames, schema=FRAMES_SCHEMA), folder / "frames.parquet")
    return TinyData(
        folder / "raw",
        folder / "frames.parquet",
        [data for story in images for data in story],
        [text for story in captions for text in story],
    )


@pytest.fixture(scope="session")
def tiny_data(
    tmp_path_factory: pytest.TempPathFactory, make_jpeg: Callable[..., bytes]
) -> TinyData:
    """7 stories of 6 frames; one picture and one caption occur three times."""
    images = [[make_jpeg(10 * s + f, width=60 + 8 * s) for f in range(6)] for s in range(7)]
    captions = [
        [
            f"Frame {f} of story {s}. " + "She runs on and on. " * ((s * 6 + f) % 11)
            for f in range(6)
        ]
        for s in range(7)
    ]
    for s in (3, 5):
        images[s][2] = images[0][0]
        captions[s][4] = captions[1][1]
    return write_data(tmp_path_factory.mktemp("data"), images, captions)


@pytest.fixture
def clip_copy(tiny_clip: Path, tmp_path: Path) -> Path:
    """The tiny CLIP in a folder that a test may change."""
    return Path(shutil.copytree(tiny_clip, tmp_path / "clip-copy"))
