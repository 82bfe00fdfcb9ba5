"""How likely the true captions are to the model, and how much of that it owes to what CLIP saw."""

from collections.abc import Callable, Iterator

import torch

from pipeline.evaluation.stories import CHUNK_STORIES, SplitStories
from pipeline.model.prompt import PromptBuilder
from pipeline.training.examples import Batch, make_examples
from pipeline.training.supervised import SupervisedObjective

LOSSES = ("loss", "nll", "loss_img", "loss_align")


def likelihood(
    objective: SupervisedObjective,
    stories: SplitStories,
    prompts: PromptBuilder,
    batch_size: int,
    progress: Callable[[int], object],
) -> dict[str, float]:
    """The training objective's figures on a split, and `nll_other_prefix`.

    `nll` is the mean over all target tokens, end-of-text included, in nats. `nll_other_prefix` is
    the same with the prefix of another story before the story's own prompt: what it lies above
    `nll` is what the decoder gains from the embeddings that only the prefix carries. It is left
    out of a split of one story.

    Args:
        objective: with a generator in eval mode.
        batch_size: stories at a time; the contrastive terms compare within such a batch.
        progress: called with the number of stories of each batch, once per pass over it.
    """
    figures = objective.validate(_batches(objective, stories, prompts, batch_size, False, progress))
    chosen = {name: figures[name] for name in LOSSES}
    if stories.order is not None:
        other = objective.validate(
            _batches(objective, stories, prompts, batch_size, True, progress)
        )
        chosen["nll_other_prefix"] = other["nll"]
    return chosen


def _batches(
    objective: SupervisedObjective,
    stories: SplitStories,
    prompts: PromptBuilder,
    batch_size: int,
    other_context: bool,
    progress: Callable[[int], object],
) -> Iterator[Batch]:
    """Batches of the split in order; the embeddings of the context are another story's if asked."""
    device = next(objective.generator.parameters()).device
    whole_batches = max(CHUNK_STORIES // batch_size, 1) * batch_size
    for chunk in stories.chunks(whole_batches):
        examples = make_examples(
            stories.frames, chunk.windows, stories.images, stories.texts, prompts, device
        )
        others = None
        if other_context and chunk.other is not None:
            others = (
                torch.from_numpy(stories.image_features(chunk.other.context)).to(device),
                torch.from_numpy(stories.text_features(chunk.other.context)).to(device),
            )
        for batch in examples.batches(batch_size):
            if others is not None:
                batch["images"], batch["texts"] = (part[batch["rows"]] for part in others)
            yield batch
            progress(len(batch["rows"]))
