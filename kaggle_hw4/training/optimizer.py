"""AdamW, its learning rate as a function of the step, and the moving average of the weights."""

import math

import torch
from torch import nn

from kaggle_hw4.recipe import OptimizerConfig, ScheduleConfig


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019) over every parameter, the head's own included."""
    return torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )


def learning_rate(step: int, config: OptimizerConfig, schedule: ScheduleConfig) -> float:
    """Linear warm-up, then half a cosine down to 0; a function of the step, with no history."""
    if step < schedule.warmup_steps:
        return config.learning_rate * step / schedule.warmup_steps
    left = schedule.steps - schedule.warmup_steps
    progress = (step - schedule.warmup_steps) / max(1, left)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


@torch.no_grad()
def update_ema(ema: nn.Module, live: nn.Module, decay: float, step: int) -> None:
    """Move `ema`, weights and buffers, towards `live` by an exponential moving average (EMA).

    The decay starts low, (1 + step) / (10 + step), so that the first, random weights are soon
    forgotten. A decay of 0 keeps `ema` equal to `live`.
    """
    weight = 1 - min(decay, (1 + step) / (10 + step))
    pairs = list(zip(ema.state_dict().values(), live.state_dict().values(), strict=True))
    floats = [pair for pair in pairs if pair[0].is_floating_point()]
    torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], weight)
    for a, b in pairs:
        if not a.is_floating_point():  # BatchNorm's count of batches
            a.copy_(b)
