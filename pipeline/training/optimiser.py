"""The optimiser, its schedule, and its state by parameter name."""

import math

import torch
from torch import Tensor, nn

from pipeline.params import TrainParams

STATE_PARTS = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW keeps for a parameter."""


def make_optimiser(parameters: dict[str, nn.Parameter], params: TrainParams) -> torch.optim.AdamW:
    """Fused AdamW; weight decay on matrices only, not on biases and norms."""
    groups = [
        {
            "params": [p for p in parameters.values() if (p.ndim >= 2) == decays],
            "weight_decay": params.weight_decay if decays else 0.0,
        }
        for decays in (True, False)
    ]
    return torch.optim.AdamW(groups, lr=params.lr, fused=True)


def learning_rate(step: int, total_steps: int, params: TrainParams) -> float:
    """Of step 0, 1, ...: linear warm-up to `lr`, then a cosine to zero at `total_steps`, or `lr`
    to the end."""
    if step < params.warmup_steps:
        return params.lr * (step + 1) / params.warmup_steps
    if params.schedule == "constant":
        return params.lr
    span = max(1, total_steps - params.warmup_steps)
    done = min(1.0, (step - params.warmup_steps) / span)
    return params.lr * 0.5 * (1 + math.cos(math.pi * done))


def optimiser_state(
    optimiser: torch.optim.Optimizer, parameters: dict[str, nn.Parameter]
) -> dict[str, Tensor]:
    """`exp_avg/<parameter>` and so on; nothing for a parameter that never had a gradient."""
    return {
        f"{part}/{name}": optimiser.state[parameter][part].detach().cpu().clone()
        for name, parameter in parameters.items()
        if parameter in optimiser.state
        for part in STATE_PARTS
    }


def load_optimiser_state(
    optimiser: torch.optim.Optimizer,
    parameters: dict[str, nn.Parameter],
    state: dict[str, Tensor],
) -> None:
    """Put back what `optimiser_state` gave."""
    for name, parameter in parameters.items():
        if f"step/{name}" in state:
            # Cloned into memory of torch's own: tensors read from a file may be aligned otherwise,
            # and kernels that vectorise may then round otherwise.
            optimiser.state[parameter] = {
                part: state[f"{part}/{name}"].clone().to(parameter.device) for part in STATE_PARTS
            }
