"""Captions that stand beside the wrong image."""

from dataclasses import replace
from typing import Any

import torch

from pipeline.adversarial.hard_negatives import hard_negatives, nearest_others, shuffled


def test_shuffled_is_never_the_own_window_and_reaches_all_others() -> None:
    torch.manual_seed(0)
    windows = torch.arange(5).repeat(100)
    others = shuffled(windows, 5)
    assert (others != windows).all()
    assert len(set(zip(windows.tolist(), others.tolist(), strict=True))) == 5 * 4


def test_nearest_is_the_most_similar_caption_of_another_story(toy: Any) -> None:
    """Against a plain search, with captions that differ a little between stories."""
    torch.manual_seed(0)
    train = toy.train
    texts = replace(
        train.text,
        embeddings=torch.nn.functional.normalize(torch.randn(len(train), 24), dim=1),
        target=torch.arange(len(train)),
    )
    found = nearest_others(replace(train, text=texts))
    for i in range(0, len(train), 7):
        others = [j for j in range(len(train)) if train.story[j] != train.story[i]]
        best = max(others, key=lambda j: float(texts.embeddings[i] @ texts.embeddings[j]))
        assert int(found[i]) == best


def test_nearest_never_says_the_same(toy: Any) -> None:
    """The toy world has four captions only: the nearest one that differs is of another content."""
    found = hard_negatives("nearest", toy.train)(torch.arange(len(toy.train)))
    assert (toy.train.text.target[found] != toy.train.text.target).all()


def test_where_all_are_the_same_another_window_stands_in(toy: Any) -> None:
    text = replace(toy.train.text, target=torch.zeros_like(toy.train.text.target))
    found = nearest_others(replace(toy.train, text=text))
    assert (found != torch.arange(len(found))).all()
