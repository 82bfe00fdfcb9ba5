"""Signs that a generator flatters its discriminator instead of getting better."""

import numpy as np
import torch

from pipeline.adversarial.discriminator import Discriminator
from pipeline.captioning.ngrams import distinct_ngrams
from pipeline.captioning.sampler import Sampler
from pipeline.dataset.loaded import LoadedDataset

TRIPWIRE_STORIES = 32
"""Validation stories that are captioned after every epoch."""


class Tripwires:
    """Greedy captions of some validation stories, and what the discriminator makes of them."""

    def __init__(self, sampler: Sampler, val: LoadedDataset, stories: int = TRIPWIRE_STORIES):
        """Of the first so many windows of `val`."""
        self.sampler = sampler
        watched = np.arange(min(stories, len(val)))
        self.contexts = val.contexts(watched)
        self.images, self.texts = val.targets(torch.from_numpy(watched))

    @torch.no_grad()
    def figures(self, discriminator: Discriminator | None) -> dict[str, float]:
        """Means over the stories.

        `words` a caption, `distinct_2` (different bigrams among all bigrams; Li et al., 2016),
        `finished` (share that ends in end-of-text), and, of a discriminator, the scores `d_real`,
        `d_generated` and `d_shuffled` (the next story's true caption).
        """
        captions = self.sampler.greedy(self.contexts)
        words = [caption.text.split() for caption in captions]
        figures = {
            "words": sum(map(len, words)) / len(words),
            "distinct_2": distinct_ngrams(words, 2),
            "finished": sum(caption.finished for caption in captions) / len(captions),
        }
        if discriminator is None:
            return figures
        embeddings = torch.from_numpy(self.sampler.embed([caption.text for caption in captions]))
        scored = {
            "d_real": self.texts,
            "d_generated": embeddings.to(self.texts),
            "d_shuffled": self.texts.roll(-1, dims=0),
        }
        discriminator.eval()
        return figures | {
            n: float(discriminator(self.images, t).score.mean()) for n, t in scored.items()
        }
