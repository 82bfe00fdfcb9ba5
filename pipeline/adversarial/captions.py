"""Where the generated captions come from on which the adversarial objective trains.

`CachedCaptions` hands out what the `captions` stage wrote; `NaiveCaptions` has the generator write
new ones for every batch. The objective does not know which of the two it has.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.captioning.sampler import Sampler
from pipeline.captioning.samples import Samples
from pipeline.dataset.loaded import Batch, LoadedDataset
from pipeline.dataset.story_dataset import Contexts
from pipeline.params import GanParams
from pipeline.training.objective import Hooks


@dataclass(frozen=True)
class Captions:
    """S sampled captions of each of G training windows, story by story."""

    windows: Tensor
    """Rows of the training dataset, [G]."""
    ids: Tensor
    """Token ids, [G * S, T], padded on the right."""
    mask: Tensor
    """[G * S, T], false on padding."""
    logprobs: Tensor
    """Log-probability of each token under the generator that wrote it, [G * S, T]."""
    embeddings: Tensor
    """CLIP text embeddings, [G, S, D]."""

    @classmethod
    def of(cls, samples: Samples, windows: Tensor, per_story: int) -> "Captions":
        """Tensors on the device of `windows`, whose samples follow each other in `samples`."""
        device = windows.device
        length = torch.from_numpy(samples.length)
        mask = torch.arange(int(length.max())) < length[:, None]
        ids = torch.zeros(mask.shape, dtype=torch.int64)
        logprobs = torch.zeros(mask.shape)
        ids[mask] = torch.from_numpy(samples.token)
        logprobs[mask] = torch.from_numpy(samples.logprob)
        embeddings = torch.from_numpy(samples.embedding.astype(np.float32))
        return cls(
            windows,
            ids.to(device),
            mask.to(device),
            logprobs.to(device),
            embeddings.view(len(windows), per_story, -1).to(device),
        )

    def story(self, number: Tensor) -> "Captions":
        """The captions of the `number`-th story [1] alone, without needless padding."""
        per_story = self.embeddings.shape[1]
        rows = number * per_story + torch.arange(per_story, device=number.device)
        width = int(self.mask[rows].sum(dim=1).max())
        return Captions(
            self.windows[number],
            self.ids[rows, :width],
            self.mask[rows, :width],
            self.logprobs[rows, :width],
            self.embeddings[number],
        )


class CaptionSource(Hooks, ABC):
    """Generated captions for the discriminator and for the generator."""

    on_policy: bool
    """Whether captions were written by the generator as it is now."""

    @abstractmethod
    def pairs(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """For the discriminator: rows of the training dataset [N], a caption's embedding each."""

    @abstractmethod
    def captions(self, batch: Batch, step: int) -> Captions | None:
        """For the generator; None in a step in which captions do not move it."""


class NaiveCaptions(CaptionSource):
    """Sampled in the loop from the present generator: on-policy, and slow.

    The discriminator and the generator each get captions of their own in every step: a judge that
    has just been trained on the very captions it is asked about would only repeat its lesson.
    """

    on_policy = True

    def __init__(self, sampler: Sampler, train: LoadedDataset, per_story: int, seed: int):
        """`train` is what batches are cut from."""
        self.sampler = sampler
        self.train = train
        self.per_story = per_story
        self.seed = seed
        self._for_discriminator: tuple[int, Captions] | None = None

    def pairs(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """`per_story` captions for each window of the batch, the same however often in a step."""
        if self._for_discriminator is None or self._for_discriminator[0] != step:
            self._for_discriminator = (step, self._write(batch, f"{step}/discriminator"))
        captions = self._for_discriminator[1]
        windows = captions.windows.repeat_interleave(self.per_story)
        return windows, captions.embeddings.flatten(0, 1)

    def captions(self, batch: Batch, step: int) -> Captions:
        return self._write(batch, f"{step}/generator")

    def _write(self, batch: Batch, occasion: str) -> Captions:
        contexts = self.train.contexts(batch["rows"].tolist())
        samples = self.sampler.sample_each(contexts, self.per_story, self.seed, occasion)
        return Captions.of(samples, batch["rows"], self.per_story)


class CachedCaptions(CaptionSource):
    """Written beforehand: off-policy, and at hand."""

    on_policy = False

    def __init__(
        self,
        samples: Samples,
        windows: Tensor,
        per_story: int,
        batch_pairs: int,
        every_steps: int,
        refresh: "Refresh | None" = None,
    ):
        """`samples` holds `per_story` captions of each of the training windows `windows` [G].

        Args:
            batch_pairs: pairs for an update of the discriminator.
            every_steps: one story's captions are for the generator in every so-many-th step.
            refresh: writes all captions anew from time to time.
        """
        self.cached = Captions.of(samples, windows, per_story)
        self.per_story = per_story
        self.batch_pairs = batch_pairs
        self.every_steps = every_steps
        self.refresh = refresh

    def pairs(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        count = len(self.cached.ids)
        rows = torch.randint(count, (self.batch_pairs,)).to(self.cached.windows.device)
        windows = self.cached.windows[rows // self.per_story]
        return windows, self.cached.embeddings.flatten(0, 1)[rows]

    def captions(self, batch: Batch, step: int) -> Captions | None:
        if step % self.every_steps:
            return None
        number = torch.randint(len(self.cached.windows), (1,))
        return self.cached.story(number.to(self.cached.windows.device))

    def between_epochs(self, epoch: int) -> None:
        if self.refresh is not None and (epoch + 1) % self.refresh.every_epochs == 0:
            samples = self.refresh.sample(epoch)
            self.cached = Captions.of(samples, self.cached.windows, self.per_story)

    def state(self) -> dict[str, Tensor]:
        return dict(vars(self.cached)) if self.refresh is not None else {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        if state:
            device = self.cached.windows.device
            self.cached = Captions(**{name: tensor.to(device) for name, tensor in state.items()})


@dataclass(frozen=True)
class Refresh:
    """Writes a cache's captions anew with the generator as it is."""

    sampler: Sampler
    contexts: Contexts
    """Of the cached stories, in their order."""
    per_story: int
    seed: int
    every_epochs: int

    def sample(self, epoch: int) -> Samples:
        """`per_story` captions of each context, other ones in each epoch."""
        return self.sampler.sample_each(self.contexts, self.per_story, self.seed, f"epoch {epoch}")


def make_source(
    gan: GanParams, sampler: Sampler, train: LoadedDataset, samples: Samples, seed: int
) -> CaptionSource:
    """The captions of `gan.variant`.

    Args:
        train: what batches are cut from.
        samples: what the `captions` stage wrote, story by story; `naive` does not look at it.
    """
    per_story = gan.cache.samples_per_story
    if not gan.reads_cache:
        return NaiveCaptions(sampler, train, per_story, seed)
    row = {story: i for i, story in enumerate(train.story)}
    rows = [row[story] for story in samples.story[::per_story]]
    every = gan.cache.refresh_epochs
    refresh = Refresh(sampler, train.contexts(rows), per_story, seed, every) if every else None
    windows = torch.tensor(rows, device=next(sampler.generator.parameters()).device)
    return CachedCaptions(
        samples, windows, per_story, gan.discriminator.batch_pairs, gan.text_every_steps, refresh
    )
