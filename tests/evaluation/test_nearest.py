"""The nearest training caption, against a search through all of them."""

from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from pipeline.evaluation import nearest as module
from pipeline.evaluation.nearest import nearest_captions

TRAIN = ["s2", "s5", "s6", "s9"]


@pytest.mark.parametrize("at_a_time", [4096, 3])
def test_equal_to_a_search_through_all(
    setting: Any, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRAMES_AT_A_TIME", at_a_time)
    monkeypatch.setattr(module, "QUERIES_AT_A_TIME", at_a_time)
    queries = np.random.default_rng(0).normal(size=(10, setting.texts.dim))
    frames = [
        frame
        for frame in setting.frames.select(["story_id", "caption", "caption_key"]).to_pylist()
        if frame["story_id"] in TRAIN
    ]
    vectors = setting.texts.lookup([frame["caption_key"] for frame in frames])
    expected = [frames[int(np.argmax(vectors @ query))]["caption"] for query in queries]
    assert nearest_captions(queries, setting.files.frames, TRAIN, setting.texts) == expected


def test_a_good_prediction_finds_its_own_caption(setting: Any) -> None:
    of_train = setting.frames.filter(pc.equal(setting.frames.column("story_id"), "s5"))
    vectors = setting.texts.lookup(of_train.column("caption_key").to_pylist())
    found = nearest_captions(vectors, setting.files.frames, TRAIN, setting.texts)
    assert found == of_train.column("caption").to_pylist()


def test_without_training_stories_there_is_no_caption(setting: Any) -> None:
    queries = np.ones((2, setting.texts.dim))
    assert nearest_captions(queries, setting.files.frames, [], setting.texts) is None
