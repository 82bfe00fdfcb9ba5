"""What a language model must do to be a decoder here, tried on a few tokens when it is loaded.

Architectures differ where their configuration does not say so. Instead of a list of them, one
short text is read in each of the ways that training, evaluation and generation read, and all have
to agree. What cannot be done without is an error; the rest is told to whoever computes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from pipeline.common.errors import UserError, reason
from pipeline.model.language_model import text_config
from pipeline.model.steps import CachedSteps

SHARED, LENGTH = 4, 6
"""Tokens that the two probes have in common, and in all."""


@dataclass(frozen=True)
class Abilities:
    """What a decoder may be asked to do."""

    plain_head: bool
    """Whether its logits are the output embedding of the last hidden state and no more: some
    decoders scale or cap them, or keep their trunk in a place of their own."""
    cached: bool
    """Whether steps with a cache (`CachedSteps`), rows of unequal length together, equal reading
    each row in one go."""


@torch.no_grad()
def check_model(lm: Any, name: str) -> Abilities:
    """Try a causal LM, in eval mode and on the device where it is.

    Args:
        lm: what `AutoModelForCausalLM` gives; left in the mode that it was in.
        name: of `decoder.model`, for the sentences.

    Raises:
        UserError: it does not take embeddings or computes otherwise from them than from tokens, it
            looks ahead, or what it computes is not finite.
    """
    training = lm.training
    lm.eval()
    try:
        return _try(lm, name)
    finally:
        lm.train(training)


def _try(lm: Any, name: str) -> Abilities:
    with _refusing(name):
        ids = probes(lm)
        embeddings = lm.get_input_embeddings()(ids)  # [2, LENGTH, H]
        free = embeddings[:, :2].mean(dim=1, keepdim=True)  # no word, as in a prefix
        behind = torch.cat([free, embeddings[:, 1:]], dim=1)
        logits = lm(inputs_embeds=torch.cat([behind, embeddings]), use_cache=False).logits
    logits, of_words = logits.split(len(ids))  # [2, LENGTH, V] each
    if not logits.isfinite().all():
        raise UserError(
            f"decoder.model {name} computes numbers that are not finite: try decoder.precision "
            "float32, get its files again, or choose another decoder.model"
        )
    if not _agree(logits[0, :SHARED], logits[1, :SHARED], lm.dtype):
        raise UserError(
            f"decoder.model {name} sees the words to come: it is a masked language model or an "
            "encoder, and cannot write a caption word by word; choose a causal one"
        )
    plain_head = _same(_head_of_trunk(lm, ids), of_words)
    if not plain_head:  # which has shown the next as well
        with _refusing(name):
            from_ids = lm(**_tokens(ids), use_cache=False).logits
        if not _agree(from_ids, of_words, lm.dtype):
            raise UserError(
                f"decoder.model {name} computes otherwise from embeddings than from tokens, so no "
                "prefix can stand before its words; choose another decoder.model"
            )
    return Abilities(plain_head, _cache_agrees(lm, behind, ids, logits))


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Whatever an architecture raises becomes a sentence."""
    try:
        yield
    except Exception as error:
        raise UserError(
            f"decoder.model {name} cannot read embeddings, so no prefix can stand before its "
            f"words ({reason(error, named=True)}); choose another decoder.model, or try "
            "decoder.precision float32 if it is not"
        ) from error


def probes(lm: Any) -> Int64[Tensor, "rows length"]:
    """Two rows of ordinary tokens [2, LENGTH] that part after SHARED of them."""
    config = text_config(lm.config).to_dict() | lm.config.to_dict()
    # Ends and beginnings of text, places of images and the like.
    special = {value for key, value in config.items() if "token" in key and isinstance(value, int)}
    embed = lm.get_input_embeddings()
    size = len(embed.weight)
    some = [i * size // 64 for i in range(64) if i * size // 64 not in special] * LENGTH
    first = some[:LENGTH]
    second = first[:SHARED] + some[LENGTH : 2 * LENGTH - SHARED]
    return torch.tensor([first, second], device=embed.weight.device)


def _tokens(ids: Tensor) -> dict[str, Tensor]:
    # With a mask, since one of the ids may be the padding, and Transformers would warn of it.
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _head_of_trunk(lm: Any, ids: Tensor) -> Tensor | None:
    """Logits of the output embedding behind the model without its head, where there is one."""
    try:
        hidden = lm.base_model(**_tokens(ids), use_cache=False)[0]
        logits: Tensor = lm.get_output_embeddings()(hidden)
    except Exception:  # the whole model is asked then
        return None
    return logits


def _same(some: Tensor | None, others: Tensor) -> bool:
    """To the digit, in any precision: a cap on the logits shows little in the small ones."""
    return (
        some is not None
        and some.shape == others.shape
        and torch.allclose(some.float(), others.float(), rtol=1e-4, atol=1e-4)
    )


def _cache_agrees(lm: Any, embeddings: Tensor, ids: Tensor, logits: Tensor) -> bool:
    """Whether rows of two lengths, one of which leaves, get by steps what `logits` say.

    Args:
        embeddings: [2, LENGTH, H], read at first. ids: [2, LENGTH], read after them.
    """
    long, short = SHARED, SHARED - 2
    embeddings = embeddings[:, :long].clone()
    mask = torch.ones_like(ids[:, :long])
    embeddings[1] = embeddings[1].roll(long - short, dims=0)
    mask[1, : long - short] = 0
    try:
        steps = CachedSteps(lm, embeddings, mask, LENGTH - short)
        seen = [steps.logits(), steps.logits(torch.stack([ids[0, long], ids[1, short]]))]
        steps.keep(torch.tensor([1], device=ids.device))
        alone = [steps.logits(ids[1:, short + i]) for i in (1, 2)]
    except Exception:  # whatever an architecture raises: it is read without a cache then
        return False
    expected = [torch.stack([logits[0, long + i - 1], logits[1, short + i - 1]]) for i in range(2)]
    expected.append(logits[1, short + 1 : short + 3])
    return _agree(torch.cat([*seen, *alone]), torch.cat(expected), lm.dtype)


def _agree(some: Tensor, others: Tensor, dtype: torch.dtype) -> bool:
    """Whether logits [..., V] computed in `dtype` are the same, by how far those of a token spread.

    In half precision one token may differ: of experts that are nearly even, either may be chosen.
    """
    if some.shape != others.shape:
        return False
    some, others = some.float().flatten(0, -2), others.float().flatten(0, -2)  # [N, V]
    spread = (others - others.mean(dim=-1, keepdim=True)).square().mean(dim=-1)
    error = ((some - others).square().mean(dim=-1) / spread).sqrt().sort().values  # [N]
    return bool(error[-1] < 1e-3) if dtype == torch.float32 else bool(error[-2] < 0.05)
