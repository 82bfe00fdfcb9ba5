"""A dataset in memory: features and tokens are read once, a batch is an index into them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32, Int64
from numpy import ndarray
from torch import Tensor

from pipeline.dataset.story_dataset import Contexts, StoryDataset
from pipeline.features.store import FeatureStore
from pipeline.model.prompt import PromptBuilder

POOL_BATCHES = 16
"""Batches whose windows are sorted by length together. More would pad less and mix less."""

Batch = dict[str, Tensor]
"""Named tensors of B windows; the names are those in `LoadedDataset.batch`."""


@dataclass(frozen=True)
class Ragged:
    """N token sequences in one array: sequence i is `flat[offsets[i] : offsets[i + 1]]`."""

    flat: Int32[Tensor, " tokens"]
    offsets: Int64[Tensor, " edges"]

    @classmethod
    def of(
        cls, sequences: Sequence[Sequence[int] | Int32[ndarray, " _"]], device: torch.device
    ) -> "Ragged":
        lengths = torch.tensor([len(s) for s in sequences], dtype=torch.int64)
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        flat = np.concatenate([np.zeros(0, np.int32), *sequences], dtype=np.int32)
        return cls(torch.from_numpy(flat).to(device), offsets.to(device))

    @property
    def lengths(self) -> Int64[Tensor, " n"]:
        """Tokens of each sequence."""
        return self.offsets.diff()

    def pad(self, rows: Int64[Tensor, " b"]) -> tuple[Int64[Tensor, "b t"], Bool[Tensor, "b t"]]:
        """Ids and mask of the given sequences, padded on the right to the longest.

        The mask comes from the lengths: the padding id may be a word of the vocabulary.
        """
        start = self.offsets[rows]
        length = self.offsets[rows + 1] - start
        column = torch.arange(int(length.max()), device=rows.device)
        mask = column < length[:, None]
        at = (start[:, None] + column).clamp(max=len(self.flat) - 1)
        return self.flat[at].long().masked_fill(~mask, 0), mask


@dataclass(frozen=True)
class Modality:
    """Distinct embeddings of the windows' frames, and which of them each window needs."""

    embeddings: Float32[Tensor, "m dim"]
    """One row per distinct content."""
    context: Int64[Tensor, "n k"]
    """Rows of the context frames."""
    target: Int64[Tensor, " n"]
    """Row of the target frame; equal for equal content."""


@dataclass(frozen=True)
class LoadedDataset:
    """N windows, ready to be indexed."""

    windows: StoryDataset
    image: Modality
    text: Modality
    prompt: Ragged
    target: Ragged
    prompts: PromptBuilder
    """What made the tokens."""

    @classmethod
    def of(
        cls, windows: StoryDataset, prompts: PromptBuilder, device: torch.device
    ) -> "LoadedDataset":
        """Look up the features and make the tokens of every window.

        Raises UserError when a feature is missing.
        """
        needed = np.concatenate([windows.context.ravel(), windows.target])
        frames, position = np.unique(needed, return_inverse=True)
        n, k = windows.context.shape

        def modality(keys: ndarray, store: FeatureStore) -> Modality:
            distinct, content = np.unique(keys, axis=0, return_inverse=True)
            rows = torch.from_numpy(content.reshape(-1)[position].astype(np.int64)).to(device)
            embeddings = torch.from_numpy(store.lookup(distinct)).to(device)
            return Modality(embeddings, rows[: n * k].view(n, k), rows[n * k :])

        captions = windows.captions(frames)
        contexts, targets = position[: n * k].reshape(n, k), position[n * k :]
        prompt: list[ndarray] = []
        target: list[ndarray] = []
        for context, its_target in zip(contexts.tolist(), targets.tolist(), strict=True):
            ids = prompts.example_ids([captions[i] for i in context], captions[its_target])
            # As arrays at once: lists of numbers take nine times as much memory.
            for of_all, of_window in zip((prompt, target), ids, strict=True):
                of_all.append(np.array(of_window, np.int32))
        return cls(
            windows,
            modality(windows.image_keys(frames), windows.images),
            modality(windows.text_keys(frames), windows.texts),
            Ragged.of(prompt, device),
            Ragged.of(target, device),
            prompts,
        )

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def story(self) -> list[str]:
        """Story id of each window."""
        return self.windows.story

    def batch(self, rows: Int64[ndarray, " b"]) -> Batch:
        """The windows `rows` as named tensors.

        Those of `features`; `prompt_ids`, `prompt_mask` [B, S] and `target_ids`, `target_mask`
        [B, T], padded on the right.
        """
        batch = self.features(torch.from_numpy(rows))
        batch["prompt_ids"], batch["prompt_mask"] = self.prompt.pad(batch["rows"])
        batch["target_ids"], batch["target_mask"] = self.target.pad(batch["rows"])
        return batch

    def features(self, rows: Int64[Tensor, " b"]) -> Batch:
        """The embeddings of the windows `rows`, named.

        `images`, `texts` [B, K, D]; `target_image`, `target_text` [B, D] and their content
        numbers `target_image_id`, `target_text_id` [B]; `rows` [B].
        """
        index = rows.to(self.image.target.device)
        batch = {"rows": index}
        for name, modality in (("image", self.image), ("text", self.text)):
            target = modality.target[index]
            batch[f"{name}s"] = modality.embeddings[modality.context[index]]
            batch[f"target_{name}"] = modality.embeddings[target]
            batch[f"target_{name}_id"] = target
        return batch

    def hide(self, batch: Batch, images: Bool[Tensor, "b k"], texts: Bool[Tensor, "b k"]) -> Batch:
        """A batch, of `batch` or of `features`, as if some frames had no image or no caption.

        Their embeddings are zero, and such a caption's line in the prompt is empty: what
        `Storyteller` makes of a frame that lacks one.

        Args:
            images, texts: what of the context is hidden.
        """
        hidden = dict(batch)
        for name, where in (("images", images), ("texts", texts)):
            hidden[name] = batch[name].masked_fill(where[..., None].to(batch[name].device), 0.0)
        if "prompt_ids" in batch and bool(texts.any()):
            windows = self.windows.select(batch["rows"].cpu().numpy())
            captions = np.array(windows.captions(windows.context.reshape(-1)), object)
            shown = np.where(texts.cpu().numpy(), "", captions.reshape(windows.context.shape))
            prompts = Ragged.of(
                [self.prompts.prompt_ids(row) for row in shown.tolist()], batch["rows"].device
            )
            every = torch.arange(len(shown), device=batch["rows"].device)
            hidden["prompt_ids"], hidden["prompt_mask"] = prompts.pad(every)
        return hidden

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """All windows in order."""
        for start in range(0, len(self), batch_size):
            yield self.batch(np.arange(start, min(start + batch_size, len(self))))

    def shuffled(self, batch_size: int, seed: int, epoch: int) -> list[Int64[ndarray, " b"]]:
        """The windows of each batch of an epoch; see `epoch_batches`."""
        lengths = self.prompt.lengths + self.target.lengths
        return epoch_batches(lengths.cpu().numpy(), batch_size, seed, epoch)

    def targets(
        self, rows: Int64[Tensor, " b"]
    ) -> tuple[Float32[Tensor, "b dim_image"], Float32[Tensor, "b dim_text"]]:
        """Image and text embeddings of the windows' targets."""
        image, text = self.image, self.text
        return image.embeddings[image.target[rows]], text.embeddings[text.target[rows]]

    def contexts(self, rows: Sequence[int] | ndarray) -> Contexts:
        """The contexts of the windows `rows`, in that order; nothing is read anew."""
        index = torch.from_numpy(np.asarray(rows, np.int64))
        images, texts = (
            modality.embeddings[modality.context[index]].cpu().numpy()
            for modality in (self.image, self.text)
        )
        return self.windows.select(rows).contexts(images, texts)


def epoch_batches(
    lengths: Int64[ndarray, " n"], batch_size: int, seed: int, epoch: int
) -> list[Int64[ndarray, " b"]]:
    """Shuffled batches of windows of similar length, every window exactly once.

    Windows are shuffled, cut into pools of `POOL_BATCHES` batches, sorted by length within a pool,
    cut into batches, and the batches are shuffled: little padding, and other neighbours in every
    epoch.

    Args:
        lengths: tokens of each window.

    Returns:
        Arrays of window numbers; all but the last of a pool hold `batch_size`.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), POOL_BATCHES * batch_size):
        pool = order[start : start + POOL_BATCHES * batch_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]
