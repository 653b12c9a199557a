"""What every objective is: something to hide from an encoder, and a decoder that predicts.

Everything is in units of a few frames: an encoder's outputs are (B, U, D), the frames that belong
to them (B, U, F), each band with a mean of 0 and a variance of 1 over its segment.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn


class Drawn(NamedTuple):
    """What is random in a batch: the units that are hidden (B, U), None where none is; and what
    else the objective needs.
    """

    hidden: npt.NDArray[np.bool_] | None
    extra: npt.NDArray[np.float32] | npt.NDArray[np.int64] | None = None


class Units(NamedTuple):
    """A batch, unit by unit: what an encoder made of it, and the frames themselves."""

    encoded: Tensor  # (B, U, D)
    real: Tensor  # (B, U), false in the padding
    frames: Tensor  # (B, U, F)
    hidden: Tensor | None  # (B, U), what the encoder has not got
    extra: Tensor | None  # the objective's own


class Outcome(NamedTuple):
    """What was predicted of what, both (…, F), where it counts (…), and what the loss has added."""

    predicted: Tensor
    target: Tensor
    counts: Tensor
    penalty: Tensor | float = 0.0

    def figures(self) -> tuple[Tensor, Tensor]:
        """The loss, squared errors averaged over values that count, plus the penalty; and the
        share of the target's sum of squares that is explained.
        """
        counts = self.counts.unsqueeze(-1).to(self.target.dtype)
        errors = (counts * (self.predicted - self.target).square()).sum()
        squares = (counts * self.target.square()).sum().detach()
        values = counts.sum().clamp_min(1) * self.target.shape[-1]
        explained = 1 - errors.detach() / squares.clamp_min(1e-6)
        return errors / values + self.penalty, explained


class Objective(nn.Module):
    """A decoder (`forward`: Units → Outcome) and what it draws for a batch."""

    def draw(self, random: np.random.Generator, size: int, units: int) -> Drawn:  # noqa: ARG002
        """For segments (B = `size`) of so many units. The first unit is never hidden: short
        utterances keep something to predict from.
        """
        return Drawn(None)


def by_unit(x: Tensor, size: int) -> Tensor:
    """X (B, T, …) as (B, U, size, …), with zeros in what the last one has too much."""
    short = -x.shape[1] % size
    padded = torch.cat([x, x.new_zeros(len(x), short, *x.shape[2:])], 1) if short else x
    return padded.reshape(len(x), padded.shape[1] // size, size, *x.shape[2:])
