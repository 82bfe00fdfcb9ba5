"""From a decoder's scores to the next token: guidance, penalties, nucleus draw.

Every function works on a whole batch at a time and row by row independently, so what a row gets
does not depend on its neighbours. `written` holds generated tokens only: the prompt enters the
decoder as embeddings and is never penalised, and names may be taken from it freely.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

PLAUSIBLE = 0.05
"""Guidance chooses among tokens that are at least so likely as this share of the likeliest."""


def guide(
    logits: Float[Tensor, "b v"], alone: Float[Tensor, "b v"], strength: float
) -> Float[Tensor, "b v"]:
    """Log-probabilities with the prefix, pushed away from those of the prompt alone.

    Classifier-free guidance as for captions in Kornblith et al. (2023, arXiv 2307.16686), among
    the plausible tokens of contrastive decoding (Li et al., 2023, arXiv 2210.15097): what is
    unlikely in both readings would win by its ratio.

    Args:
        logits, alone: of the next token with and without the prefix.
        strength: 1 changes nothing but what is plausible; above 1 the prefix counts for more.

    Returns:
        scores, -inf where a token is not plausible.
    """
    told, untold = logits.log_softmax(dim=-1), alone.log_softmax(dim=-1)
    likeliest = told.amax(dim=-1, keepdim=True)
    scores = untold + strength * (told - untold)
    return scores.masked_fill(told < likeliest + math.log(PLAUSIBLE), -torch.inf)


def penalise_repetition(scores: Tensor, written: Tensor, penalty: float) -> Tensor:
    """Make tokens that were already written less likely.

    Positive scores are divided by `penalty`, negative ones multiplied (Keskar et al. 2019, CTRL);
    once per token, however often it was written.

    Args:
        scores: float [B, V]. written: int64 [B, T]. penalty: above 0; 1 changes nothing.

    Returns:
        float [B, V], a new tensor.
    """
    if penalty == 1.0 or written.shape[1] == 0:
        return scores
    of_written = scores.gather(1, written)
    of_written = torch.where(of_written > 0, of_written / penalty, of_written * penalty)
    return scores.scatter(1, written, of_written)


def ban_repeated_ngrams(scores: Tensor, written: Tensor, size: int) -> Tensor:
    """Set to -inf every token that would complete an n-gram of `size` a second time.

    Args:
        scores: float [B, V]. written: int64 [B, T]. size: 0 changes nothing.

    Returns:
        float [B, V], a new tensor where anything is banned.
    """
    length = written.shape[1]
    if size == 0 or length < size:
        return scores
    followers = written[:, size - 1 :]  # [B, T - size + 1], each ends one n-gram of `size`
    if size == 1:
        banned = torch.ones_like(followers, dtype=torch.bool)
    else:
        openings = written[:, :-1].unfold(1, size - 1, 1)  # [B, T - size + 1, size - 1]
        banned = (openings == written[:, None, length - size + 1 :]).all(dim=-1)
    # Counts instead of writing -inf by index: a token may stand both behind a matching opening
    # and behind another one, and with duplicate indices the order of writes is undefined.
    hits = torch.zeros_like(scores).scatter_add_(1, followers, banned.to(scores.dtype))
    return scores.masked_fill(hits > 0, float("-inf"))


def nucleus_tokens(scores: Tensor, draws: Tensor, temperature: float, top_p: float) -> Tensor:
    """Draw from the smallest set of most likely tokens that holds `top_p` (Holtzman et al. 2020).

    The draw inverts the cumulative distribution at a number that the caller supplies, so a row's
    sample depends on its own scores and its own number alone.

    Args:
        scores: float [B, V]. draws: float [B] in [0, 1). temperature: above 0. top_p: in (0, 1].

    Returns:
        int64 [B], token ids.
    """
    probabilities, order = torch.sort(
        torch.softmax(scores / temperature, dim=-1), dim=-1, descending=True, stable=True
    )
    reached = probabilities.cumsum(dim=-1)  # [B, V]
    kept = ((reached - probabilities) < top_p).sum(dim=-1, keepdim=True).clamp_min(1)  # [B, 1]
    mass = reached.gather(1, kept - 1)
    drawn = (reached <= draws[:, None] * mass).sum(dim=-1, keepdim=True)
    return order.gather(1, torch.minimum(drawn, kept - 1)).squeeze(1)
