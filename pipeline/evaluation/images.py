"""Does the image head know the next frame better than a copy of the last one does?"""

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.ranks import ranks
from pipeline.evaluation.stories import SplitStories
from pipeline.evaluation.targets import SplitTargets, StoryFrames
from pipeline.model.generator import StoryGenerator

IMAGE_POOL = 100
"""Targets among which a prediction is to find its own, at most: in a small split of 100 and in a
large one the question is then equally hard."""


def predict_embeddings(
    generator: StoryGenerator, stories: SplitStories
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the two heads predict of every target: image and text embeddings, [N, D], unit norm."""
    images, texts = [], []
    for chunk in stories.chunks():
        windows, context = chunk.windows, chunk.windows.context
        image, text = generator.predict_embeddings(
            windows.image_features(context), windows.text_features(context)
        )
        images.append(image)
        texts.append(text)
    return np.concatenate(images), np.concatenate(texts)


def image_ranks(
    predicted: NDArray[np.float32], stories: SplitStories, targets: SplitTargets
) -> dict[str, NDArray[np.int64]]:
    """Places at which predicted image embeddings [N, D] find their targets, each [N].

    `image`: among the targets of at most `IMAGE_POOL` stories that follow each other in the
    split, in pools of near equal size; chance for the first place is one over a pool's size.
    `image_copy_last`: the same of the last context frame's embedding. `image_same_story`: among
    all frames of the story.
    """
    pools = []
    for chunk in stories.pools(IMAGE_POOL):
        here = chunk.place
        among = (targets.images[here], np.arange(len(here)), targets.content[here])
        last = chunk.windows.image_features(chunk.windows.context[:, -1])
        pools.append(
            {
                "image": ranks(predicted[here], *among),
                "image_copy_last": ranks(last, *among),
                "image_same_story": StoryFrames.of(chunk).ranks(predicted[here]),
            }
        )
    return {name: np.concatenate([pool[name] for pool in pools]) for name in pools[0]}
