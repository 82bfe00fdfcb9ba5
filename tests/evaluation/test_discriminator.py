"""The discriminator's accuracy, on scores known beforehand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.adversarial.discriminator import Discriminator
from pipeline.evaluation.discriminator import SCORE, DiscriminatorScorer
from pipeline.params import DiscriminatorParams


def a_discriminator(dim: int) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(dim, dim, DiscriminatorParams(widths=[8])).eval()


def test_scores_are_those_of_the_pairs(setting: Any) -> None:
    discriminator = a_discriminator(setting.clip.dim)
    captions = {"model": ["Mara waits.", "Tom runs."], "ground_truth": ["A lamp.", "The river."]}
    images = setting.images.lookup(setting.images.keys[:2])
    columns = DiscriminatorScorer(discriminator, setting.clip).columns(captions, images)
    assert set(columns) == {"model", "ground_truth"}
    texts = setting.clip.encode_texts(["A lamp.", "The river."]).astype(np.float16)
    with torch.no_grad():
        pairs = torch.from_numpy(images), torch.from_numpy(texts.astype(np.float32))
        expected = discriminator(*pairs).score
    assert columns["ground_truth"][SCORE] == pytest.approx(expected.numpy(), abs=1e-4)


def test_in_the_metrics_of_a_model_that_has_one(setting: Any, tmp_path: Path) -> None:
    scorer = DiscriminatorScorer(a_discriminator(setting.clip.dim), setting.clip)
    val = ["s1", "s2", "s3", "s4"]
    names = {"d_accuracy_generated", "d_accuracy_shuffled"}
    with_one = setting.evaluate(tmp_path / "a", val, [], discriminator=scorer)["val"]
    without = setting.evaluate(tmp_path / "b", val, [])["val"]
    assert names <= set(with_one) and names.isdisjoint(without)
    assert all(0 <= with_one[name] <= 1 for name in names)
    assert {name: v for name, v in with_one.items() if name not in names} == without
