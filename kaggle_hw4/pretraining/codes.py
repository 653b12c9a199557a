"""Objectives that hide nothing: frames pass through a narrow code, or are described by one."""

import numpy as np
import torch
from torch import Tensor, nn

from kaggle_hw4.pretraining.objective import Drawn, Objective, Outcome, Units, by_unit
from kaggle_hw4.pretraining.recipe import AutoencoderConfig, CountsConfig, VariationalConfig

HIDDEN_WIDTH = 256  # of a decoder's hidden layer


class Autoencoder(Objective):
    """A block of frames is reconstructed from a narrow code of it, a linear function of the mean of
    the encoder's outputs there (Hinton and Salakhutdinov 2006). Nothing is hidden: what keeps the
    encoder from copying is the code's width.
    """

    def __init__(
        self, config: AutoencoderConfig | VariationalConfig, d_encoded: int, d_frames: int
    ) -> None:
        super().__init__()
        self.block, self.width = config.block, config.width
        self.code = nn.Linear(d_encoded, self.d_code)
        self.decode = nn.Sequential(
            nn.Linear(self.width, HIDDEN_WIDTH),
            nn.GELU(),
            nn.Linear(HIDDEN_WIDTH, self.block * d_frames),
        )

    @property
    def d_code(self) -> int:
        return self.width

    def forward(self, units: Units) -> Outcome:
        return self.reconstruct(self.codes(units), units)

    def codes(self, units: Units) -> Tensor:
        """(B, K, d_code), of K blocks."""
        encoded, real = self.blocks(units.encoded), self.blocks(units.real)
        total = (encoded * real.unsqueeze(-1)).sum(2)
        codes: Tensor = self.code(total / real.sum(2, keepdim=True).clamp_min(1))
        return codes

    def reconstruct(self, codes: Tensor, units: Units, penalty: Tensor | float = 0.0) -> Outcome:
        target = self.blocks(units.frames)
        predicted = self.decode(codes).view(target.shape)
        return Outcome(predicted, target, self.blocks(units.real), penalty)

    def blocks(self, x: Tensor) -> Tensor:
        """X (B, U, …) as (B, K, block, …), with zeros in what the last block has too much."""
        return by_unit(x, self.block)


class Variational(Autoencoder):
    """The same from a normal distribution of codes (Kingma and Welling 2014).

    The loss is ½ · squared error + kl_weight · KL(q ‖ N(0, 1)) of a block, times 2 over the block's
    number of values: with a weight of 1 the evidence lower bound of values whose variance is 1.
    """

    def __init__(self, config: VariationalConfig, d_encoded: int, d_frames: int) -> None:
        super().__init__(config, d_encoded, d_frames)
        self.kl_weight = config.kl_weight

    @property
    def d_code(self) -> int:
        return 2 * self.width

    def draw(self, random: np.random.Generator, size: int, units: int) -> Drawn:
        shape = (size, -(-units // self.block), self.width)
        return Drawn(None, random.standard_normal(shape, np.float32))

    def forward(self, units: Units) -> Outcome:
        assert units.extra is not None
        mean, log_variance = self.codes(units).chunk(2, -1)
        real = self.blocks(units.real)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
        values = real.sum().clamp_min(1) * units.frames.shape[-1]
        penalty = 2 * self.kl_weight * (divergence * real.any(-1)).sum() / values
        sample = mean + (0.5 * log_variance).exp() * units.extra
        return self.reconstruct(sample, units, penalty)


class Counts(Objective):
    """The embedding of a frame's code is predicted from the encoder's output at the frame.

    The embeddings are those of `counts.embed_codes`; an encoder of frames has no table of codes
    that they could be put in, so they are its targets. Nothing is hidden: the encoder learns which
    frames occur in the same surroundings.
    """

    def __init__(self, config: CountsConfig, d_encoded: int, d_frames: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(config.codes, d_frames))
        self.register_buffer("embeddings", torch.zeros(config.codes, config.width))
        self.centres: Tensor
        self.embeddings: Tensor
        self.out = nn.Linear(d_encoded, config.width)

    def forward(self, units: Units) -> Outcome:
        with torch.no_grad():
            codes = nearest(units.frames, self.centres)
        return Outcome(self.out(units.encoded), self.embeddings[codes], units.real)


def nearest(x: Tensor, centres: Tensor) -> Tensor:
    """The index of the centre (K, F) that is nearest to each of x (…, F)."""
    return (centres.square().sum(-1) - 2 * x @ centres.T).argmin(-1)
