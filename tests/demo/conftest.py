"""A model of random weights and the data of its run, as the stages leave them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipeline.common.checksums import write_sums
from pipeline.common.files import jsonl_writer
from pipeline.demo.server import Demo, make_app
from pipeline.demo.stories import Examples, TrainingFrames
from pipeline.predict.storyteller import Storyteller
from tests.predict.conftest import K
from tests.world import jpeg, write_features, write_world

ADDRESS = "http://127.0.0.1:8765"
TRAIN, FRAMES = 6, 4
ATTACK = "<img src=x onerror='window.attacked = 1'><b>bold</b>"


def caption(story: int, frame: int) -> str:
    """Of a training story's frame. Each attacks the page, since which ones are the nearest to what
    random weights predict is up to the processor."""
    return f"Story {story} comes to its frame {frame}. {ATTACK}"


def picture(story: int, frame: int) -> bytes:
    """Of a training story's frame; those of test stories are numbered from 20."""
    return jpeg(10 * story + frame)


@pytest.fixture(scope="session")
def data(teller: Storyteller, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a run: six stories to train and validate on, three to test."""
    stories = {
        split: {
            f"{split}-{n}": [(picture(first + n, i), caption(first + n, i)) for i in range(FRAMES)]
            for n in range(count)
        }
        for split, first, count in (("train", 0, TRAIN), ("test", 20, 3))
    }
    ids = list(stories["train"])
    splits = {"train": ids[:-1], "val": ids[-1:], "test": list(stories["test"])}
    folder = tmp_path_factory.mktemp("demo") / "data"
    write_features(write_world(folder, **stories, splits=splits), teller.clip)
    with jsonl_writer(folder / "eval" / "predictions.jsonl") as write:
        for number in range(3):
            write(_prediction(number))
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
