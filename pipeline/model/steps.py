"""A language model read token by token, many rows at once: with a cache, and without one.

Both have the same methods and give the same logits. Which one a decoder can be read by is tried
when it is loaded (`check.py`): of some, the state is not a cache that Transformers hands from step
to step, or it pays no heed to padding.
"""

import inspect
from typing import Any

import torch
from torch import Tensor

from pipeline.model.kv_cache import roomy_cache


class CachedSteps:
    """Reads each token once: what a layer has to remember of it stays in a cache.

    Rows are padded on the left, the padding is masked, and every row counts its positions from its
    own first embedding.
    """

    def __init__(self, lm: Any, embeddings: Tensor, mask: Tensor, most: int):
        """Start reading a batch.

        Args:
            lm: a Hugging Face causal LM in eval mode that takes `inputs_embeds`.
            embeddings: float [B, T, H], padded on the left. mask: int64 [B, T].
            most: how many tokens may be read after them.
        """
        batch, start = mask.shape
        self.lm = lm
        self.embeddings = embeddings
        self.mask = torch.cat([mask, mask.new_ones(batch, most)], dim=1)  # [B, T + most]
        self.positions = (self.mask.cumsum(dim=1) - 1).clamp_min(0)  # 0 at a row's first embedding
        # Mamba's family has a name of its own for it, and masks what it reads now alone.
        self.mamba = "cache_params" in inspect.signature(lm.forward).parameters
        self.cache = roomy_cache(lm.config, start + most)
        self.end = 0

    def logits(self, tokens: Tensor | None = None) -> Tensor:
        """Read on by one token a row, int64 [B]; none at first, to read the embeddings.

        Returns:
            float32 [B, V], of the token that follows.
        """
        inputs = {"inputs_embeds": self.embeddings}
        if tokens is not None:
            inputs = {"input_ids": tokens[:, None]}
        begin = self.end
        self.end += self.embeddings.shape[1] if tokens is None else 1
        output = self.lm(
            **inputs,
            attention_mask=self.mask[:, (begin if self.mamba else 0) : self.end],
            position_ids=self.positions[:, begin : self.end],
            use_cache=True,
            logits_to_keep=1,
            **{"cache_params" if self.mamba else "past_key_values": self.cache},
        )
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows alone, int64 [n], in this order."""
        self.cache.reorder_cache(rows)
        self.mask, self.positions = self.mask[rows], self.positions[rows]


class PlainSteps:
    """Reads each row alone and from its start at every step: slow, and right for every decoder."""

    def __init__(self, lm: Any, embeddings: Tensor, mask: Tensor):
        """Arguments as of `CachedSteps`."""
        self.lm = lm
        self.rows = [row[m.bool()] for row, m in zip(embeddings, mask, strict=True)]  # [T_i, H]

    def logits(self, tokens: Tensor | None = None) -> Tensor:
        if tokens is not None:
            words = self.lm.get_input_embeddings()(tokens)[:, None]  # [B, 1, H]
            self.rows = [torch.cat(pair) for pair in zip(self.rows, words, strict=True)]
        # Copies, since CTRL scales what it is given in place.
        last = [
            self.lm(inputs_embeds=row[None].clone(), use_cache=False).logits[0, -1]
            for row in self.rows
        ]
        return torch.stack(last).float()

    def keep(self, rows: Tensor) -> None:
        self.rows = [self.rows[i] for i in rows.tolist()]
