"""Dropout whose draws are a function of (seed, step, place in the model, row of the batch)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 256  # values of a byte: probabilities are multiples of 1/256
BLOCK = 32  # bytes that a step of Philox's counter makes


@dataclass
class Draws:
    """What the dropouts of a model draw: that of `step` of a training from `seed`, for `own` of the
    `size` rows of a batch, from row `first` on; with a single process for all of them.
    """

    seed: int = 0
    step: int = 0
    first: int = 0
    own: int = 1
    size: int = 1


class Dropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014), its probability rounded to a 256th.

    On a CPU a byte decides on each activation, and the bytes are Philox's (Salmon et al. 2011), at
    a counter that is the row and the place, under a key that is the seed and the step: nothing
    before changes them, and a process that has some rows of a batch draws theirs alone. It takes
    an eighth of the time of PyTorch's own. Elsewhere PyTorch's own is a kernel, and stays.
    """

    def __init__(self, probability: float, inplace: bool = False) -> None:
        super().__init__()
        self.dropped = min(round(LEVELS * probability), LEVELS - 1)  # bytes below it drop
        self.inplace = inplace  # may write over x, which nobody else needs
        self.place = 0  # its number in the model
        self.draws = Draws()

    def forward(self, x: Tensor) -> Tensor:
        if not self._counts(x):
            return self._on_device(x)
        return x.mul_(self.factors(x)) if self.inplace else x * self.factors(x)

    def add(self, x: Tensor, y: Tensor, weight: float = 1.0) -> Tensor:
        """The sum x + weight · dropout(y), in one pass over memory."""
        if not self._counts(y):
            return torch.add(x, self(y), alpha=weight)
        factors = self.factors(x, weight)
        sums: Tensor = AddScaled.apply(x, y, factors)  # type: ignore[no-untyped-call]
        return sums

    def factors(self, like: Tensor, weight: float = 1.0) -> Tensor:
        """For every activation 0 or `weight` over the probability to be kept, as `like` is."""
        rows, size = len(like), like[0].numel()
        blocks = -(-size // BLOCK)  # of a row, whichever rows are drawn with it
        skipped = self.draws.first * rows // self.draws.own * blocks  # those of other processes
        key, counter = [self.draws.seed, self.draws.step], [skipped, self.place, 0, 0]
        drawn = np.random.Philox(key=key, counter=counter).random_raw(rows * blocks * BLOCK // 8)
        kept = drawn.view(np.uint8).reshape(rows, -1)[:, :size] >= self.dropped
        factors = kept * np.float32(weight * LEVELS / (LEVELS - self.dropped))
        return torch.from_numpy(factors).view(like.shape).to(like.dtype)

    def _on_device(self, x: Tensor) -> Tensor:
        """PyTorch's own; of several processes each draws for all rows, and takes its rows'."""
        draws = self.draws
        if not self.rate or draws.own == draws.size:
            return F.dropout(x, self.rate)
        first, size = (len(x) * part // draws.own for part in (draws.first, draws.size))
        factors = F.dropout(x.new_ones(size, *x.shape[1:]), self.rate)
        return x * factors[first : first + len(x)]

    @property
    def rate(self) -> float:
        """The share that is dropped now: 0 at evaluation."""
        return self.dropped / LEVELS if self.training else 0.0

    def _counts(self, x: Tensor) -> bool:
        return self.rate > 0 and x.device.type == "cpu"


class AddScaled(torch.autograd.Function):
    """x + y · factors, as exact as x is. PyTorch's addcmul takes one pass more to differentiate."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, factors: Tensor) -> Tensor:
        ctx.save_for_backward(factors)
        ctx.dtype = y.dtype
        return torch.addcmul(x, y.to(x.dtype), factors)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (factors,) = ctx.saved_tensors
        return gradient, (gradient * factors).to(ctx.dtype), None


def share_draws(model: nn.Module) -> Draws:
    """Give each dropout of `model` a place of its own, and all of them the draws returned."""
    draws = Draws()
    dropouts = (module for module in model.modules() if isinstance(module, Dropout))
    for place, dropout in enumerate(dropouts):
        dropout.place, dropout.draws = place, draws
    return draws
