"""Plain, slow implementations that what is fast is compared with: one item at a time, no cache, no
padding, no mask, everything through the whole model."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.captioning.decoding import Decoded


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Of two vectors; 0 where one is 0."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = math.sqrt(a @ a) * math.sqrt(b @ b)
    return float(a @ b / lengths) if lengths else 0.0


def token_nll(
    lm: torch.nn.Module, before: Tensor | None, prompt: list[int], target: list[int]
) -> Tensor:
    """Nats of each token of `target` after the embeddings `before`, if any, and `prompt`."""
    words = lm.get_input_embeddings()(torch.tensor([prompt + target]))
    sequence = words if before is None else torch.cat([before[None], words], dim=1)
    logits = lm(inputs_embeds=sequence).logits[0]
    first = sequence.shape[1] - len(target) - 1
    return F.cross_entropy(logits[first:-1], torch.tensor(target), reduction="none")


@torch.no_grad()
def greedy(lm: torch.nn.Module, before: Tensor, limit: int, eos_id: int) -> Decoded:
    """What is written after the embeddings `before`; not end-of-text at once."""
    embed = lm.get_input_embeddings()
    tokens: list[int] = []
    logprobs: list[float] = []
    while len(tokens) < limit and eos_id not in tokens:
        sequence = torch.cat([before, embed(torch.tensor(tokens, dtype=torch.int64))])
        scores = lm(inputs_embeds=sequence[None]).logits[0, -1]
        probabilities = scores.softmax(dim=-1)
        if not tokens:
            scores[eos_id] = -math.inf
        tokens.append(int(scores.argmax()))
        logprobs.append(math.log(probabilities[tokens[-1]]))
    return Decoded(tokens, tokens[-1] == eos_id, logprobs)
