"""Objectives that hide frames from the encoder, and predict them."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from kaggle_hw4.pretraining.objective import Drawn, Objective, Outcome, Units
from kaggle_hw4.pretraining.recipe import CbowConfig, MaskedConfig, SkipGramConfig


class Masked(Objective):
    """Spans of frames, hidden from the encoder, are predicted from its outputs there: the masked
    model (Devlin et al. 2019) of frames (Mockingjay, Liu et al. 2020).
    """

    def __init__(self, config: MaskedConfig, d_encoded: int, d_frames: int) -> None:
        super().__init__()
        self.share, self.span = config.share, config.span
        self.out = nn.Linear(d_encoded, d_frames)

    def draw(self, random: np.random.Generator, size: int, units: int) -> Drawn:
        count = max(1, round(self.share * units / self.span))
        starts = random.integers(1, max(2, units - self.span + 1), (size, count))
        place = np.arange(units)[None, None]
        inside = (place >= starts[..., None]) & (place < starts[..., None] + self.span)
        return Drawn(np.asarray(inside.any(1)))

    def forward(self, units: Units) -> Outcome:
        assert units.hidden is not None
        return Outcome(self.out(units.encoded), units.frames, units.hidden & units.real)


class Neighbours(Objective):
    """Centres at even distances, from a random first one on, and their windows."""

    apart: int

    def __init__(self, window: int) -> None:
        super().__init__()
        self.around = np.concatenate([np.arange(-window, 0), np.arange(1, window + 1)])
        self.register_buffer("offsets", torch.from_numpy(self.around), persistent=False)
        self.offsets: Tensor

    def centres(self, random: np.random.Generator, size: int, units: int) -> npt.NDArray[np.int64]:
        """(B, K); all of them are units of the segment."""
        apart = min(self.apart, max(1, units - 1))
        first = random.integers(1, apart + 1, (size, 1))
        return np.asarray(np.minimum(first + np.arange(0, units - apart, apart), units - 1))


class Cbow(Neighbours):
    """A frame is predicted from the mean of the encoder's outputs at its neighbours: the continuous
    bag of words (Mikolov et al. 2013).

    An encoder with context could pass the frame itself on to its neighbours, so the frame is hidden
    from it. Windows don't overlap.
    """

    def __init__(self, config: CbowConfig, d_encoded: int, d_frames: int) -> None:
        super().__init__(config.window)
        self.apart = 2 * config.window + 1
        self.out = nn.Linear(d_encoded, d_frames)

    def draw(self, random: np.random.Generator, size: int, units: int) -> Drawn:
        centres = self.centres(random, size, units)
        hidden = np.zeros((size, units), np.bool_)
        np.put_along_axis(hidden, centres, True, 1)
        return Drawn(hidden, centres)

    def forward(self, units: Units) -> Outcome:
        assert units.extra is not None
        places, real = _around(units.extra, self.offsets, units.real)  # (B, K, W)
        context = _gather(units.encoded, places) * real.unsqueeze(-1)
        mean = context.sum(2) / real.sum(2, keepdim=True).clamp_min(1)
        counts = units.real.gather(1, units.extra)
        return Outcome(self.out(mean), _gather(units.frames, units.extra), counts)


class SkipGram(Neighbours):
    """The neighbours of a frame are predicted from the encoder's output at the frame, each by a
    linear map of its own: the skip-gram (Mikolov et al. 2013).

    An encoder with context would only have to copy them, so all neighbours that are predicted are
    hidden from it; the frame itself, and what is between the windows, is not. Half of the units are
    in no window.
    """

    def __init__(self, config: SkipGramConfig, d_encoded: int, d_frames: int) -> None:
        super().__init__(config.window)
        self.apart = 2 * (2 * config.window + 1)
        self.out = nn.Linear(d_encoded, 2 * config.window * d_frames)

    def draw(self, random: np.random.Generator, size: int, units: int) -> Drawn:
        centres = self.centres(random, size, units)
        places = (centres[..., None] + self.around).reshape(size, -1)
        hidden = np.zeros((size, units + 1), np.bool_)  # the last place takes what is outside
        np.put_along_axis(hidden, np.where((places < 1) | (places > units), units, places), True, 1)
        np.put_along_axis(hidden, centres, False, 1)
        return Drawn(hidden[:, :-1], centres)

    def forward(self, units: Units) -> Outcome:
        assert units.extra is not None
        assert units.hidden is not None
        places, real = _around(units.extra, self.offsets, units.real & units.hidden)
        target = _gather(units.frames, places)  # (B, K, W, F)
        predicted = self.out(_gather(units.encoded, units.extra)).view(target.shape)
        return Outcome(predicted, target, real & units.real.gather(1, units.extra).unsqueeze(-1))


def _around(centres: Tensor, offsets: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """The places (B, K, W) around centres (B, K), and which of them are `real` units (B, U)."""
    places = centres.unsqueeze(-1) + offsets
    kept = places.clamp(0, real.shape[1] - 1)
    inside = real.gather(1, kept.flatten(1)).view(kept.shape)
    return kept, inside & (kept == places)


def _gather(x: Tensor, places: Tensor) -> Tensor:
    """X (B, U, D) at places (B, …)."""
    index = places.flatten(1).unsqueeze(-1).expand(-1, -1, x.shape[-1])
    return x.gather(1, index).view(*places.shape, x.shape[-1])
