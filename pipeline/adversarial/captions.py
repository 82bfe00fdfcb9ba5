"""Where the generated captions come from on which the adversarial objective trains.

`CachedCaptions` hands out what the `captions` stage wrote; `NaiveCaptions` has the generator write
new ones for every batch. The objective does not know which of the two it has.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.captioning.sampler import Sampler
from pipeline.captioning.samples import Samples
from pipeline.dataset.loaded import Batch, LoadedDataset
from pipeline.dataset.story_dataset import Contexts
from pipeline.model.generator import StoryGenerator
from pipeline.params import GanParams
from pipeline.training.objective import Hooks


@dataclass(frozen=True)
class Captions:
    """S captions of each of G training windows, story by story."""

    windows: Tensor
    """Rows of the training dataset, [G]."""
    ids: Tensor
    """Token ids, [G * S, T], padded on the right."""
    mask: Tensor
    """[G * S, T], false on padding."""
    logprobs: Tensor
    """Log-probability of each token under the generator that wrote the samples, [G * S, T]."""
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

    def beside(self, others: "Captions") -> "Captions":
        """The own captions of each story, and behind them those that `others` has of it."""
        width = max(self.ids.shape[1], others.ids.shape[1])

        def join(own: Tensor, other: Tensor) -> Tensor:
            parts = [F.pad(x, (0, width - x.shape[1])) for x in (own, other)]
            by_story = [part.view(len(self.windows), -1, width) for part in parts]
            return torch.cat(by_story, dim=1).flatten(0, 1)

        return Captions(
            self.windows,
            join(self.ids, others.ids),
            join(self.mask, others.mask),
            join(self.logprobs, others.logprobs),
            torch.cat([self.embeddings, others.embeddings], dim=1),
        )

    def stories(self, numbers: Tensor) -> "Captions":
        """All captions of the stories `numbers` [G'] alone, in that order."""
        per_story = self.embeddings.shape[1]
        rows = numbers[:, None] * per_story + torch.arange(per_story, device=numbers.device)
        return self._take(rows.flatten(), self.windows[numbers], self.embeddings[numbers])

    def best(self, rewards: Tensor) -> "Captions":
        """The caption of each story that has the highest of the rewards [G, S]."""
        stories, per_story = rewards.shape
        rows = torch.arange(stories, device=rewards.device) * per_story + rewards.argmax(dim=1)
        return self._take(rows, self.windows, self.embeddings.flatten(0, 1)[rows, None])

    def _take(self, rows: Tensor, windows: Tensor, embeddings: Tensor) -> "Captions":
        """The captions `rows`, without needless padding."""
        width = int(self.mask[rows].sum(dim=1).max())
        ids, mask, logprobs = (x[rows, :width] for x in (self.ids, self.mask, self.logprobs))
        return Captions(windows, ids, mask, logprobs, embeddings)


@dataclass(frozen=True)
class Truth:
    """The true captions of training windows, as if the generator had written them."""

    generator: StoryGenerator
    train: LoadedDataset
    batch_size: int
    """Captions read at a time."""

    @torch.no_grad()
    def captions(self, windows: Tensor) -> Captions:
        """One of each of the windows [G], with log-probabilities of the generator as it is now.

        It is read in eval mode, as it is when it samples.
        """
        training = self.generator.training
        self.generator.eval()
        said = []
        for rows in windows.split(self.batch_size):
            batch = self.train.batch(rows.cpu().numpy())
            prefix = self.generator.encode(batch["images"], batch["texts"]).prefix
            said.append(-self.generator.caption_nll(prefix, batch)[batch["target_mask"]])
        self.generator.train(training)
        ids, mask = self.train.target.pad(windows)
        logprobs = torch.zeros(mask.shape, device=mask.device)
        logprobs[mask] = torch.cat(said)
        return Captions(windows, ids, mask, logprobs, self.train.targets(windows)[1][:, None])


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

    def __init__(
        self,
        sampler: Sampler,
        train: LoadedDataset,
        per_story: int,
        seed: int,
        truth: Truth | None = None,
    ):
        """`train` is what batches are cut from; with `truth` the generator gets true ones too."""
        self.sampler = sampler
        self.train = train
        self.per_story = per_story
        self.seed = seed
        self.truth = truth
        self._for_discriminator: tuple[int, Captions] | None = None

    def pairs(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """`per_story` captions for each window of the batch, the same however often in a step."""
        if self._for_discriminator is None or self._for_discriminator[0] != step:
            self._for_discriminator = (step, self._write(batch, f"{step}/discriminator"))
        captions = self._for_discriminator[1]
        windows = captions.windows.repeat_interleave(self.per_story)
        return windows, captions.embeddings.flatten(0, 1)

    def captions(self, batch: Batch, step: int) -> Captions:
        written = self._write(batch, f"{step}/generator")
        return written if self.truth is None else written.beside(self.truth.captions(batch["rows"]))

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
        stories: int = 1,
        truth: Truth | None = None,
    ):
        """`samples` holds `per_story` captions of each of the training windows `windows` [G].

        Args:
            batch_pairs: pairs for an update of the discriminator.
            every_steps: captions are for the generator in every so-many-th step.
            refresh: writes all captions anew from time to time.
            stories: whose captions the generator gets at a time; all if there are fewer.
            truth: gives the generator true captions too. They are read whenever samples have been
                written, hence by the generator that wrote these.
        """
        self.per_story = per_story
        self.batch_pairs = batch_pairs
        self.every_steps = every_steps
        self.refresh = refresh
        self.count = stories
        self.truth = truth
        self.cached = self._candidates(samples, windows)

    def pairs(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        written = self.cached.embeddings[:, : self.per_story].flatten(0, 1)  # and no true ones
        rows = torch.randint(len(written), (self.batch_pairs,)).to(written.device)
        return self.cached.windows[rows // self.per_story], written[rows]

    def captions(self, batch: Batch, step: int) -> Captions | None:
        if step % self.every_steps:
            return None
        every = len(self.cached.windows)
        # One is drawn as ever, so that runs of old go the same way; several are different ones.
        alone = self.count == 1
        numbers = torch.randint(every, (1,)) if alone else torch.randperm(every)[: self.count]
        return self.cached.stories(numbers.to(self.cached.windows.device))

    def between_epochs(self, epoch: int) -> None:
        if self.refresh is not None and (epoch + 1) % self.refresh.every_epochs == 0:
            samples = self.refresh.sample(epoch)
            self.cached = self._candidates(samples, self.cached.windows)

    def state(self) -> dict[str, Tensor]:
        return dict(vars(self.cached)) if self.refresh is not None else {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        if state:
            device = self.cached.windows.device
            self.cached = Captions(**{name: tensor.to(device) for name, tensor in state.items()})

    def _candidates(self, samples: Samples, windows: Tensor) -> Captions:
        """Samples, and the true captions behind them if they are wanted."""
        written = Captions.of(samples, windows, self.per_story)
        return written if self.truth is None else written.beside(self.truth.captions(windows))


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
    truth = None
    if gan.true_captions:
        truth = Truth(sampler.generator, train, sampler.params.batch_size)
    if not gan.reads_cache:
        return NaiveCaptions(sampler, train, per_story, seed, truth)
    row = {story: i for i, story in enumerate(train.story)}
    rows = [row[story] for story in samples.story[::per_story]]
    every = gan.cache.refresh_epochs
    refresh = Refresh(sampler, train.contexts(rows), per_story, seed, every) if every else None
    windows = torch.tensor(rows, device=next(sampler.generator.parameters()).device)
    return CachedCaptions(
        samples,
        windows,
        per_story,
        gan.discriminator.batch_pairs,
        gan.text_every_steps,
        refresh,
        gan.text_stories,
        truth,
    )
