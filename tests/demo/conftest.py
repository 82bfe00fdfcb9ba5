"""A model of random weights and the data of its run, as the stages leave them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from pipeline.common.checksums import write_sums
from pipeline.common.files import write_jsonl
from pipeline.demo.server import Demo, make_app
from pipeline.demo.stories import Examples, TrainingFrames
from pipeline.features.store import write_shard
from pipeline.predict.storyteller import Storyteller
from pipeline.stories.frames import FRAMES_SCHEMA, content_key
from pipeline.stories.schema import write_stories
from tests.conftest import jpeg
from tests.predict.conftest import K
from tests.predict.conftest import model as model
from tests.predict.conftest import teller as teller
from tests.stories.story_rows import story_row

ADDRESS = "http://127.0.0.1:8765"
TRAIN, FRAMES = 6, 4
ATTACK = "<img src=x onerror='window.attacked = 1'><b>bold</b>"


def caption(story: int, frame: int) -> str:
    """Of a training story's frame; that of one story attacks the page."""
    return ATTACK if story == 3 else f"Story {story} comes to its frame {frame}."


def picture(story: int, frame: int) -> bytes:
    """Of a training story's frame; those of test stories are numbered from 20."""
    return jpeg(10 * story + frame)


@pytest.fixture(scope="session")
def data(teller: Storyteller, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a run: six stories to train and validate on, three to test."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    for split, first, count in (("train", 0, TRAIN), ("test", 20, 3)):
        stories = [
            [{"bytes": picture(first + n, i), "path": None} for i in range(FRAMES)]
            for n in range(count)
        ]
        rows = (story_row(f"{split}-{n}", FRAMES, images=own) for n, own in enumerate(stories))
        write_stories(rows, folder / "raw" / split)
    frames = [
        {
            "split": "train",
            "story_id": f"train-{story}",
            "frame_index": frame,
            "n_frames": FRAMES,
            "caption": caption(story, frame),
            "image_file": "train/00000.parquet",
            "image_row": story,
            "image_index": frame,
            "image_key": content_key(picture(story, frame)),
            "caption_key": content_key(caption(story, frame).encode()),
        }
        for story in range(TRAIN)
        for frame in range(FRAMES)
    ]
    (folder / "stories").mkdir()
    pq.write_table(
        pa.Table.from_pylist(frames, schema=FRAMES_SCHEMA), folder / "stories" / "frames.parquet"
    )
    ids = [f"train-{story}" for story in range(TRAIN)]
    (folder / "stories" / "splits.json").write_text(
        json.dumps({"train": ids[:-1], "val": ids[-1:], "test": ["test-0", "test-1", "test-2"]})
    )
    clip = teller.clip
    pictures = [picture(frame["image_row"], frame["frame_index"]) for frame in frames]
    vectors = {
        "image": clip.encode_images(np.stack([clip.preprocess(part) for part in pictures])),
        "text": clip.encode_texts([frame["caption"] for frame in frames]),
    }
    for modality, key in (("image", "image_key"), ("text", "caption_key")):
        keys = np.frombuffer(b"".join(frame[key] for frame in frames), np.uint8).reshape(-1, 32)
        attributes = clip.settings(modality) | {"fingerprint": clip.fingerprint(modality)}
        shard = folder / "features" / modality / "00000.h5"
        write_shard(shard, keys, vectors[modality], attributes)
    write_jsonl(folder / "eval" / "predictions.jsonl", (_prediction(n) for n in range(3)))
    write_sums(folder / "eval")
    return folder


def _prediction(number: int) -> dict[str, Any]:
    places = [{"file": "test/00000.parquet", "row": number, "index": i} for i in range(K + 1)]
    return {
        "split": "test",
        "story_id": f"test-{number}",
        "context": [f"Frame {i} of story {number}." for i in range(K)],
        "context_images": places[:K],
        "target_image": places[K],
        "reference": ATTACK,
        "prediction": "It ends.",
        "finished": True,
        "score": 0.5,
        "reference_score": 0.9,
        "scores": {"model": 0.5, "ground_truth": 0.9},
    }


@pytest.fixture(scope="session")
def demo(teller: Storyteller, data: Path) -> Demo:
    """All that the page can show."""
    fingerprints = {name: teller.clip.fingerprint(name) for name in ("image", "text")}
    return Demo(teller, data, Examples(data, K), TrainingFrames(data, K, fingerprints))


Visit = Callable[..., TestClient]


@pytest.fixture
def visit() -> Iterator[Visit]:
    """`visit(demo)` is a browser on its page, as far as requests go."""
    clients: list[TestClient] = []

    def open_page(demo: Demo, **options: Any) -> TestClient:
        client = TestClient(make_app(demo), ADDRESS, headers={"origin": ADDRESS}, **options)
        clients.append(client.__enter__())
        return client

    yield open_page
    for client in clients:
        client.__exit__(None, None, None)
