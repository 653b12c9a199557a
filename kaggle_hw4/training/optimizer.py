"""AdamW, its learning rate as a function of the step, and the moving average of the weights."""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from kaggle_hw4.recipe import OptimizerConfig, ScheduleConfig

M = TypeVar("M", bound=nn.Module)
FUSED = ("cpu", "cuda", "mps")  # devices with a kernel for the whole of AdamW


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019) over every parameter, the head's own included."""
    return torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=next(model.parameters()).device.type in FUSED,
    )


def learning_rate(place: float, config: OptimizerConfig, schedule: ScheduleConfig) -> float:
    """Linear warm-up, then half a cosine down to 0; a function of the place in the schedule, which
    is the step unless the schedule is stretched, with no history.
    """
    if place < schedule.warmup_steps:
        return config.learning_rate * place / schedule.warmup_steps
    left = schedule.steps - schedule.warmup_steps
    progress = (place - schedule.warmup_steps) / max(1, left)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


class MovingAverage(Generic[M]):
    """An exponential moving average (EMA) of a model's weights and buffers, in the copy `model`."""

    def __init__(self, live: M) -> None:
        self.model: M = deepcopy(live).eval().requires_grad_(False)
        states = (module.state_dict().values() for module in (self.model, live))
        pairs = list(zip(*states, strict=True))
        self.floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self.counts = [pair for pair in pairs if not pair[0].is_floating_point()]  # BatchNorm's

    @torch.no_grad()
    def update(self, decay: float, step: int) -> None:
        """Move towards the weights as they are now.

        The decay starts low, (1 + step) / (10 + step), so that the first, random weights are soon
        forgotten. A decay of 0 keeps the average equal to the weights.
        """
        weight = 1 - min(decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(*_columns(self.floats), weight)
        if self.counts:
            torch._foreach_copy_(*_columns(self.counts))


def _columns(pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    return [a for a, _ in pairs], [b for _, b in pairs]
