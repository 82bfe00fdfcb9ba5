"""How likely the true captions are to the model, and how much of that it owes to what CLIP saw."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.dataset.loaded import Batch, LoadedDataset
from pipeline.evaluation.stories import CHUNK_STORIES, SplitStories
from pipeline.model.generator import StoryGenerator
from pipeline.model.losses import embedding_losses
from pipeline.model.prompt import PromptBuilder
from pipeline.params import LossParams

NLL = "nll"
"""The true caption after the story's own prefix and prompt."""
OTHER_PREFIX = "nll_other_prefix"
"""With the prefix of another story; the prompt is the story's own in all of these."""
IMAGES_ONLY = "nll_images_only"
"""With a prefix made of the context images alone: in the place of each caption's embedding stands
the mean of all context captions."""
TEXTS_ONLY = "nll_texts_only"
"""With a prefix made of the context captions' embeddings alone, likewise."""
NO_PREFIX = "nll_no_prefix"
"""The decoder with its prompt alone."""


@dataclass(frozen=True)
class Likelihood:
    """Of the N stories of a split."""

    nats: dict[str, NDArray[np.float64]]
    """Condition -> nats of each true caption, end-of-text included, [N]. A split of one story has
    no `nll_other_prefix`."""
    tokens: NDArray[np.int64]
    """Tokens that these are the nats of, [N]."""
    losses: dict[str, float]
    """`loss`, `loss_img` and `loss_align` of the training objective."""


@torch.no_grad()
def likelihood(
    generator: StoryGenerator,
    loss: LossParams,
    stories: SplitStories,
    prompts: PromptBuilder,
    batch_size: int,
    progress: Callable[[int], object],
) -> Likelihood:
    """Score the true captions under every condition.

    Args:
        generator: in eval mode.
        loss: what it was trained with.
        batch_size: stories at a time; the contrastive losses compare within such a batch.
        progress: called with the number of stories of each batch.
    """
    nats: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)
    tokens: list[NDArray[np.int64]] = []
    sums = np.zeros(2)
    device = next(generator.parameters()).device
    mean_image, mean_text = (mean.to(device) for mean in _mean_context(stories))
    for batch, others in _batches(stories, prompts, batch_size, device):
        images, texts = batch["images"], batch["texts"]
        encoded = generator.encode(images, texts)
        prefixes: dict[str, Tensor | None] = {NLL: encoded.prefix}
        if others is not None:
            prefixes[OTHER_PREFIX] = generator.encode(*others).prefix
        prefixes[IMAGES_ONLY] = generator.encode(images, mean_text.expand_as(texts)).prefix
        prefixes[TEXTS_ONLY] = generator.encode(mean_image.expand_as(images), texts).prefix
        prefixes[NO_PREFIX] = None
        for name, prefix in prefixes.items():
            nll = generator.caption_nll(prefix, batch)
            nats[name].append(nll.sum(dim=1, dtype=torch.float64).cpu().numpy())
        tokens.append(batch["target_mask"].sum(dim=1).cpu().numpy())
        size = len(batch["rows"])
        sums += [size * float(value) for value in embedding_losses(encoded.predicted, batch, loss)]
        progress(size)
    every = {name: np.concatenate(parts) for name, parts in nats.items()}
    count = np.concatenate(tokens)
    img, align = sums / len(stories)
    total = every[NLL].sum() / count.sum() + loss.alpha * img + loss.lambda_ * align
    losses = {"loss": float(total), "loss_img": float(img), "loss_align": float(align)}
    return Likelihood(every, count, losses)


def _mean_context(stories: SplitStories) -> list[Tensor]:
    """Mean embedding of all context images and of all context captions, [D] each.

    What stands for "nothing known": zeros are a place where the encoder never was, and a story's
    own likelihood would suffer from that alone.
    """
    sums = [np.float64(0), np.float64(0)]
    for chunk in stories.chunks():
        windows, context = chunk.windows, chunk.windows.context.reshape(-1)
        parts = (windows.image_features(context), windows.text_features(context))
        sums = [of + p.sum(axis=0, dtype=np.float64) for of, p in zip(sums, parts, strict=True)]
    count = stories.windows.context.size
    return [torch.from_numpy((part / count).astype(np.float32)) for part in sums]


def _batches(
    stories: SplitStories, prompts: PromptBuilder, batch_size: int, device: torch.device
) -> Iterator[tuple[Batch, tuple[Tensor, Tensor] | None]]:
    """Batches of the split in order, each with another story's context for every story."""
    whole_batches = max(CHUNK_STORIES // batch_size, 1) * batch_size
    for chunk in stories.chunks(whole_batches):
        others = None
        if chunk.other is not None:
            context = chunk.other.context
            others = (
                torch.from_numpy(chunk.other.image_features(context)).to(device),
                torch.from_numpy(chunk.other.text_features(context)).to(device),
            )
        for batch in LoadedDataset.of(chunk.windows, prompts, device).batches(batch_size):
            rows = batch["rows"]
            yield batch, None if others is None else (others[0][rows], others[1][rows])
