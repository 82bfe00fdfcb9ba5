"""What a language model must do to be a decoder here, tried on a few tokens when it is loaded.

Architectures differ where their configuration does not say so. Instead of a list of them, one
short text is read in each of the ways that training, evaluation and generation read, and all have
to agree. What cannot be done without is an error; the rest is told to whoever computes.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.model.language_model import text_config
from pipeline.model.steps import CachedSteps

SHARED, LENGTH = 5, 8
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
    try:
        ids = _probes(lm)
        embeddings = lm.get_input_embeddings()(ids)
        logits = lm(inputs_embeds=embeddings, use_cache=False).logits  # [2, LENGTH, V]
    except Exception as error:  # whatever an architecture raises
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise UserError(
            f"decoder.model {name} cannot read embeddings, so no prefix can stand before its "
            f"words ({reason}): choose another decoder.model"
        ) from error
    if not logits.isfinite().all():
        raise UserError(
            f"decoder.model {name} computes numbers that are not finite: its files are damaged, or "
            "decoder.precision is too coarse for it; try float32, or get the files again"
        )
    if not _agree(logits[0, :SHARED], logits[1, :SHARED]):
        raise UserError(
            f"decoder.model {name} sees the words to come: it is a masked language model or an "
            "encoder, and what it says of a caption would mean nothing; choose a causal one"
        )
    # With a mask, since one of the ids may be the padding, and Transformers would warn of it.
    from_ids = lm(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
    if not _agree(from_ids.flatten(0, 1), logits.flatten(0, 1)):
        raise UserError(
            f"decoder.model {name} computes otherwise from embeddings than from tokens, so no "
            "prefix can stand before its words: choose another decoder.model"
        )
    return Abilities(_head_is_plain(lm, embeddings, logits), _cache_agrees(lm, ids, logits))


def _probes(lm: Any) -> Tensor:
    """Two rows of ordinary tokens [2, LENGTH] that part after SHARED of them."""
    config = text_config(lm.config).to_dict() | lm.config.to_dict()
    # Ends and beginnings of text, places of images and the like.
    special = {value for key, value in config.items() if "token" in key and isinstance(value, int)}
    embed = lm.get_input_embeddings()
    size = embed.weight.shape[0]
    some = [i * size // 64 for i in range(64) if i * size // 64 not in special] * LENGTH
    first = some[:LENGTH]
    second = first[:SHARED] + some[LENGTH : 2 * LENGTH - SHARED]
    return torch.tensor([first, second], device=embed.weight.device)


def _head_is_plain(lm: Any, embeddings: Tensor, logits: Tensor) -> bool:
    try:
        hidden = lm.base_model(inputs_embeds=embeddings, use_cache=False)[0]
        plain = lm.get_output_embeddings()(hidden)
    except Exception:  # the whole model is asked then, which did not fail
        return False
    # To the digit, in any precision: a cap on the logits shows little in the small ones.
    return plain.shape == logits.shape and torch.allclose(
        plain.float(), logits.float(), rtol=1e-4, atol=1e-4
    )


def _cache_agrees(lm: Any, ids: Tensor, logits: Tensor) -> bool:
    """Whether rows of two lengths, one of which leaves, get by steps what `logits` say."""
    long, short = SHARED, SHARED - 2
    embeddings = lm.get_input_embeddings()(ids[:, :long])
    mask = torch.ones_like(ids[:, :long])
    embeddings[1] = embeddings[1].roll(long - short, dims=0)
    mask[1, : long - short] = 0
    try:
        steps = CachedSteps(lm, embeddings, mask, LENGTH - short)
        seen = [steps.logits(), steps.logits(torch.stack([ids[0, long], ids[1, short]]))]
        steps.keep(torch.tensor([1], device=ids.device))
        alone = [steps.logits(ids[1:, i]) for i in range(short + 1, LENGTH)]
    except Exception:  # whatever an architecture raises: it is read without a cache then
        return False
    expected = [torch.stack([logits[0, long + i - 1], logits[1, short + i - 1]]) for i in range(2)]
    return _agree(torch.cat([*seen, *alone]), torch.cat([*expected, logits[1, short + 1 :]]))


def _agree(some: Tensor, others: Tensor) -> bool:
    """Whether logits [N, V] are the same up to rounding, by the spread of those after a token.

    In half precision most of them have to be: a mixture of experts may choose another expert where
    two are nearly even.
    """
    if some.shape != others.shape:
        return False
    exact = some.dtype == torch.float32 and others.dtype == torch.float32
    some, others = some.float(), others.float()
    spread = (others - others.mean(dim=-1, keepdim=True)).square().mean(dim=-1)
    error = ((some - others).square().mean(dim=-1) / spread).sqrt()  # [N]
    return bool(error.max() < 1e-3) if exact else bool(error.median() < 0.05)
