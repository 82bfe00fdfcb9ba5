"""A causal language model that reads embeddings in front of its prompt.

After ClipCap (Mokady et al., 2021): a vector is mapped to a few embeddings that stand before the
words. Here the encoder's own positions, one per frame, may follow them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.compute.packed_linear import PackedLinear
from pipeline.model.adapter import add_adapter
from pipeline.model.check import check_model
from pipeline.model.config import GeneratorConfig
from pipeline.model.head_nll import head_nll
from pipeline.model.language_model import check_room


class PrefixDecoder(nn.Module):
    """Prefix embeddings from the fusion encoder, and the language model behind them.

    - works with any Hugging Face causal LM that takes `inputs_embeds` and is found to (`check.py`);
    - what its tokenizer puts before every text stands before the prefix: many LMs lean on it;
    - a frozen LM stays in eval mode whatever `train()` says, and has no weight gradients;
    - adapters on it (`adapter.py`), if wanted, are trained: they have no dropout to switch on;
    - prefix embeddings start at the scale of the words, as the LM's embedding layer gives them;
    - sequences are padded on the right: a causal LM never looks there, so no mask is needed;
    - logits are computed at supervised positions and nowhere else, and not kept (`head_nll.py`).
    """

    word_scale: Tensor
    """Root mean square of the LM's token embeddings."""
    opening: Tensor
    """Token ids before everything else, int64 [O]."""

    def __init__(self, config: GeneratorConfig, lm: Any, opening: Sequence[int] = ()):
        """Raises UserError when `lm` has too few positions, fails `check_model`, or has nowhere to
        put adapters that are wanted."""
        super().__init__()
        check_room(lm.config, config, len(opening))
        abilities = check_model(lm, config.decoder.model)
        self.plain_head, self.cached = abilities.plain_head, abilities.cached
        self.lm = lm
        self.frozen = config.decoder.tune != "full"
        if self.frozen:
            lm.requires_grad_(False)
        words = all_words(lm)
        width = words.shape[1]
        self.n_prefix = config.decoder.n_prefix
        self.embedding_prefix = config.decoder.embedding_prefix
        predicted = config.dim_image + config.dim_text if self.embedding_prefix else 0
        self.from_z = nn.Linear(config.fusion.d_model + predicted, self.n_prefix * width)
        self.z_norm = nn.LayerNorm(width)
        self.frame_prefix = config.decoder.frame_prefix
        if self.frame_prefix:
            self.from_frame = nn.Linear(config.fusion.d_model, width)
            self.frame_norm = nn.LayerNorm(width)
        self.register_buffer("word_scale", words.square().mean().sqrt(), persistent=False)
        opening_ids = torch.tensor(opening, dtype=torch.int64)
        self.register_buffer("opening", opening_ids, persistent=False)
        if config.decoder.tune == "lora":  # drawn last: all else starts as with a frozen LM
            add_adapter(lm.eval(), config.decoder.lora_rank, config.decoder.model)
        self.train(self.training)

    @property
    def width(self) -> int:
        """Width of the LM's embeddings, H."""
        return int(self.z_norm.normalized_shape[0])

    def train(self, mode: bool = True) -> "PrefixDecoder":
        """As in nn.Module, save that a frozen LM stays in eval mode: it has no dropout."""
        super().train(mode)
        if self.frozen:
            self.lm.eval()
        return self

    def prefix(
        self,
        positions: Float[Tensor, "b f d_model"],
        z: Float[Tensor, "b d_model"],
        image: Float[Tensor, "b dim_image"],
        text: Float[Tensor, "b dim_text"],
    ) -> Float[Tensor, "b p h"]:
        """The encoder's positions, their mean and what is known of the target's CLIP embeddings to
        prefix embeddings.

        These are in the LM's dtype; what is trained in front of it stays in float32.
        """
        if self.embedding_prefix:
            # To unit variance, as in the fusion encoder; and without a way back, so that the heads
            # go on predicting CLIP's embeddings rather than what suits the words.
            known = [x.detach() * x.shape[1] ** 0.5 for x in (image, text)]
            z = torch.cat([z, *known], dim=1)
        pooled = self.from_z(z).view(len(z), self.n_prefix, self.width)
        parts = [self.z_norm(pooled)]
        if self.frame_prefix:
            parts.append(self.frame_norm(self.from_frame(positions)))
        return (torch.cat(parts, dim=1) * self.word_scale).to(self.lm.dtype)

    def embed(
        self, prefix: Float[Tensor, "b p h"] | None, ids: Int64[Tensor, "b l"]
    ) -> Float[Tensor, "b length h"]:
        """Opening, prefix (or none) and token ids, one after the other, as embeddings."""
        embed = self.lm.get_input_embeddings()
        parts = [] if prefix is None else [prefix]
        if len(self.opening):
            parts.insert(0, embed(self.opening.expand(len(ids), -1)))
        return torch.cat([*parts, embed(ids)], dim=1)

    def token_nll(
        self,
        prefix: Float[Tensor, "b p h"] | None,
        prompt_ids: Int64[Tensor, "b s"],
        prompt_mask: Bool[Tensor, "b s"],
        target_ids: Int64[Tensor, "b t"],
        target_mask: Bool[Tensor, "b t"],
    ) -> Float[Tensor, "b t"]:
        """Negative log-likelihood in nats of each target token, given all before it.

        Args:
            prefix: None for the LM with its prompt alone.
            prompt_ids, prompt_mask: padded on the right; every prompt has a token.
            target_ids, target_mask: padded on the right.

        Returns:
            zero where `target_mask` is false.
        """
        if not len(target_ids):  # of a small batch, a process's share may be none
            return target_ids.new_zeros(target_ids.shape, dtype=torch.float32)
        prompt_length = prompt_mask.sum(dim=1)
        ids = _join(prompt_ids, prompt_length, target_ids, target_mask.sum(dim=1))
        embeds = self.embed(prefix, ids)
        row, column = target_mask.nonzero(as_tuple=True)
        # The token at column t is foretold one position before its own.
        before = (embeds.shape[1] - ids.shape[1]) + prompt_length[row] + column - 1
        nll = self._nll_after(embeds, row, before, target_ids[target_mask])
        return nll.new_zeros(target_ids.shape).index_put((row, column), nll)

    def _nll_after(self, embeds: Tensor, row: Tensor, column: Tensor, tokens: Tensor) -> Tensor:
        """Nats [N] of `tokens` [N] right after positions (row, column) of embeds [B, L, H]."""
        if not self.plain_head:
            logits = self.lm(inputs_embeds=embeds, use_cache=False).logits[row, column]
            return F.cross_entropy(logits.float(), tokens, reduction="none")
        hidden = self.lm.base_model(inputs_embeds=embeds, use_cache=False)[0]  # [B, L, H]
        hidden, head = hidden[row, column], self.lm.get_output_embeddings()
        if isinstance(head, PackedLinear):
            return head_nll(hidden, head, tokens)
        return F.cross_entropy(head(hidden).float(), tokens, reduction="none")


@torch.no_grad()
def all_words(lm: Any) -> Float[Tensor, "v h"]:
    """The embeddings of the whole vocabulary as the LM reads them, float32.

    Asked of the layer: in some LMs it scales what its weights say.
    """
    embed = lm.get_input_embeddings()
    words: Tensor = embed(torch.arange(embed.weight.shape[0], device=embed.weight.device))
    return words.float()


def _join(first: Tensor, first_length: Tensor, second: Tensor, second_length: Tensor) -> Tensor:
    """Rows of `first` [B, S] continued by rows of `second` [B, T] without a gap; padded by 0."""
    length = int((first_length + second_length).max())
    at = torch.arange(length, device=first.device).expand(len(first), -1)
    beyond = at - first_length[:, None]
    ids = torch.where(
        beyond < 0,
        first.gather(1, at.clamp(max=first.shape[1] - 1)),
        second.gather(1, beyond.clamp(0, second.shape[1] - 1)),
    )
    return ids.masked_fill(beyond >= second_length[:, None], 0)
