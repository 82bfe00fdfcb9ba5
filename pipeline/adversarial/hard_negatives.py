"""Another story's caption for each image: fakes that only the match of the two gives away."""

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.dataset.loaded import LoadedDataset

BLOCK = 1024
"""Captions compared with all others at a time."""

Mining = Callable[[Tensor], Tensor]
"""From windows, rows of the dataset [N], to the windows whose captions stand in, [N]."""


def hard_negatives(mining: str, train: LoadedDataset) -> Mining:
    """The way of choosing that `gan.hardneg.mining` names: `shuffled` or `nearest`."""
    if mining == "shuffled":
        return lambda windows: shuffled(windows, len(train))
    nearest = nearest_others(train)
    return lambda windows: nearest[windows]


def shuffled(windows: Tensor, count: int) -> Tensor:
    """Any window of `count` but the own one, drawn from torch's generator."""
    away = torch.randint(1, count, (len(windows),)).to(windows.device)
    return (windows + away) % count


def nearest_others(train: LoadedDataset) -> Tensor:
    """For each window the one whose target caption is nearest in CLIP's text space, [N].

    Never one of the same story nor of the same caption; where all others are, the window after.
    """
    stories = {story: i for i, story in enumerate(dict.fromkeys(train.story))}
    target = train.text.target
    story = torch.tensor([stories[name] for name in train.story], device=target.device)
    texts = train.text.embeddings[target]  # [N, D]
    found = []
    for start in range(0, len(texts), BLOCK):
        here = slice(start, start + BLOCK)
        similarity = texts[here] @ texts.T
        own = (target[here, None] == target) | (story[here, None] == story)
        best = similarity.masked_fill(own, -torch.inf).max(dim=1)
        after = torch.arange(start + 1, start + 1 + len(similarity), device=target.device)
        found.append(torch.where(best.values.isfinite(), best.indices, after % len(texts)))
    return torch.cat(found)
