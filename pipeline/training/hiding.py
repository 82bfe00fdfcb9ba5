"""What is hidden of contexts in training, so that a model can do without (`fusion.hide_share`)."""

import torch
from jaxtyping import Bool
from torch import Tensor


def draw_hidden(
    windows: int, k: int, share: float
) -> tuple[Bool[Tensor, "n k"], Bool[Tensor, "n k"]]:
    """Draw which images and which captions of contexts of K frames are hidden, on the CPU.

    Of a share of the windows one of three things is: captions, images, or both of some opening
    frames, of a story that begins later. Captions or images are all hidden in half of the cases, in
    the others each with an even chance: to have pictures alone is what a user's story is like most
    often. The frame before the target keeps its image or its caption.
    """
    chosen = (torch.rand(windows) < share)[:, None]
    kind = torch.randint(3, (windows, 1))
    some = torch.rand(windows, k) < torch.where(torch.rand(windows, 1) < 0.5, 1.0, 0.5)
    opening = torch.arange(k) < torch.randint(k, (windows, 1))
    late = kind == 2
    return (
        chosen & torch.where(late, opening, some & (kind == 1)),
        chosen & torch.where(late, opening, some & (kind == 0)),
    )
