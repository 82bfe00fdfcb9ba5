"""Does the image head know the next frame better than a copy of the last one does?"""

import torch

from pipeline.evaluation.retrieval import hits_at_1, pools
from pipeline.evaluation.stories import SplitStories
from pipeline.model.generator import StoryGenerator

POOL_STORIES = 100
"""Targets among which a prediction is to find its own, at most."""


@torch.inference_mode()
def image_retrieval(generator: StoryGenerator, stories: SplitStories) -> dict[str, float]:
    """Share of stories whose predicted image embedding is nearest to its own target, R@1.

    Among the targets of at most `POOL_STORIES` stories that follow each other in the split, in
    pools of near equal size; chance is one over a pool's size. `image_r1_copy_last` asks the same
    of the last context frame's embedding.
    """
    device = next(generator.parameters()).device
    hits = {"image_r1": 0, "image_r1_copy_last": 0}
    for start, stop in pools(len(stories), POOL_STORIES):
        context = stories.windows.context[start:stop]
        targets = stories.image_features(stories.windows.target[start:stop])
        images = stories.image_features(context)
        encoded = generator.encode(
            torch.from_numpy(images).to(device),
            torch.from_numpy(stories.text_features(context)).to(device),
        )
        hits["image_r1"] += hits_at_1(encoded.image_pred.float().cpu().numpy(), targets)
        hits["image_r1_copy_last"] += hits_at_1(images[:, -1], targets)
    return {name: count / len(stories) for name, count in hits.items()}
