"""Windows as tensors: features and tokens looked up once, a batch is an index into them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.dataset.batching import ordered_batches
from pipeline.dataset.windows import Windows
from pipeline.features.store import FeatureStore, key_array
from pipeline.model.prompt import PromptBuilder

Batch = dict[str, Tensor]
"""Named tensors of B windows; the names are those in `Examples.batch`."""

FRAME_COLUMNS = ["story_id", "caption", "image_key", "caption_key"]
"""Columns of the frames table that examples are made from."""


@dataclass(frozen=True)
class Ragged:
    """N token sequences in one array: sequence i is `flat[offsets[i] : offsets[i + 1]]`."""

    flat: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]], device: torch.device) -> "Ragged":
        lengths = torch.tensor([len(s) for s in sequences], dtype=torch.int64)
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        flat = np.fromiter((t for s in sequences for t in s), np.int64, int(offsets[-1]))
        return cls(torch.from_numpy(flat).to(device), offsets.to(device))

    @property
    def lengths(self) -> Tensor:
        """Tokens of each sequence, [N]."""
        return self.offsets.diff()

    def pad(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """ids [B, T] and mask [B, T] of the given sequences, padded on the right to the longest.

        The mask comes from the lengths: the padding id may be a word of the vocabulary.
        """
        start = self.offsets[rows]
        length = self.offsets[rows + 1] - start
        column = torch.arange(int(length.max()), device=rows.device)
        mask = column < length[:, None]
        at = (start[:, None] + column).clamp(max=len(self.flat) - 1)
        return self.flat[at].masked_fill(~mask, 0), mask


@dataclass(frozen=True)
class Modality:
    """Distinct embeddings of the windows' frames, and which of them each window needs."""

    embeddings: Tensor
    """[M, D] float32, one row per distinct content."""
    context: Tensor
    """Rows of the context frames, [N, K]."""
    target: Tensor
    """Row of the target frame, [N]; equal for equal content."""

    @classmethod
    def of(
        cls, keys: pa.ChunkedArray, store: FeatureStore, windows: Windows, device: torch.device
    ) -> "Modality":
        frames, position = np.unique(
            np.concatenate([windows.context.ravel(), windows.target]), return_inverse=True
        )
        distinct, content = np.unique(
            key_array(keys.take(pa.array(frames))), axis=0, return_inverse=True
        )
        rows = torch.from_numpy(content.reshape(-1)[position].astype(np.int64)).to(device)
        n, k = windows.context.shape
        embeddings = torch.from_numpy(store.lookup(distinct)).to(device)
        return cls(embeddings, rows[: n * k].view(n, k), rows[n * k :])


@dataclass(frozen=True)
class Examples:
    """N windows, ready to be indexed."""

    image: Modality
    text: Modality
    prompt: Ragged
    target: Ragged
    story: list[str]
    """Story id of each window."""

    def __len__(self) -> int:
        return len(self.story)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of prompt and target of each window, [N]."""
        lengths: NDArray[np.int64] = (self.prompt.lengths + self.target.lengths).cpu().numpy()
        return lengths

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """The windows `rows` [B] as named tensors.

        `images`, `texts` [B, K, D]; `target_image`, `target_text` [B, D] and their content
        numbers `target_image_id`, `target_text_id` [B]; `prompt_ids`, `prompt_mask` [B, S] and
        `target_ids`, `target_mask` [B, T], padded on the right; `rows` [B].
        """
        index = torch.from_numpy(rows).to(self.image.target.device)
        batch = {"rows": index}
        for name, modality in (("image", self.image), ("text", self.text)):
            target = modality.target[index]
            batch[f"{name}s"] = modality.embeddings[modality.context[index]]
            batch[f"target_{name}"] = modality.embeddings[target]
            batch[f"target_{name}_id"] = target
        batch["prompt_ids"], batch["prompt_mask"] = self.prompt.pad(index)
        batch["target_ids"], batch["target_mask"] = self.target.pad(index)
        return batch

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """All windows in order."""
        for rows in ordered_batches(len(self), batch_size):
            yield self.batch(rows)


def make_examples(
    frames: pa.Table,
    windows: Windows,
    images: FeatureStore,
    texts: FeatureStore,
    prompts: PromptBuilder,
    device: torch.device,
) -> Examples:
    """Look up the features and make the tokens of every window.

    Args:
        frames: the frames table with at least `FRAME_COLUMNS`.
        windows: rows of that table.

    Raises UserError when a feature is missing.
    """
    captions = frames.column("caption").to_pylist()
    pairs = [
        prompts.example_ids([captions[i] for i in context], captions[target])
        for context, target in zip(windows.context.tolist(), windows.target.tolist(), strict=True)
    ]
    return Examples(
        Modality.of(frames.column("image_key"), images, windows, device),
        Modality.of(frames.column("caption_key"), texts, windows, device),
        Ragged.of([prompt for prompt, _ in pairs], device),
        Ragged.of([target for _, target in pairs], device),
        list(windows.story),
    )
