"""A variant's encoders, each with a decoder in the place of pooling, embedding and head."""

import torch
from torch import Tensor, nn

from kaggle_hw4.models.build import build_encoder
from kaggle_hw4.models.classifier import Frontend
from kaggle_hw4.models.parallel import ParallelNetworks
from kaggle_hw4.models.pooling import moments_of
from kaggle_hw4.padding import Mask, zero_padding
from kaggle_hw4.precision import autocast
from kaggle_hw4.pretraining.batches import FrameBatch
from kaggle_hw4.pretraining.objective import Objective, Outcome, Units, by_unit
from kaggle_hw4.pretraining.objectives import OBJECTIVES
from kaggle_hw4.pretraining.recipe import UNIT, PretrainingRecipe


class PretrainingNetwork(nn.Module):
    """A batch → what the objective predicts of it. What is hidden reaches neither the encoder nor
    the normalisation before it.
    """

    def __init__(
        self, frontend: Frontend, encoder: nn.Module, objective: Objective, subsampling: int
    ) -> None:
        super().__init__()
        self.frontend, self.encoder, self.objective = frontend, encoder, objective
        self.per_unit = UNIT // subsampling  # frames out of the encoder

    def forward(self, batch: FrameBatch) -> Outcome:
        encoded, mask = self.encoder(self.visible(batch), batch.mask)
        with torch.autocast(encoded.device.type, enabled=False):
            encoded = mean_by_unit(encoded.float(), mask, self.per_unit)
            frames, real = unit_frames(batch.features, batch.mask)
            outcome: Outcome = self.objective(
                Units(encoded, real, frames, batch.hidden, batch.extra)
            )
            return outcome

    def visible(self, batch: FrameBatch) -> Tensor:
        """The normalised frames that the encoder gets (B, T, n_mels), with zeros where they are
        hidden.
        """
        visible: Mask = batch.mask
        if batch.hidden is not None:
            length = batch.features.shape[1]
            visible = ~batch.hidden.repeat_interleave(UNIT, 1)[:, :length]
            visible = visible if batch.mask is None else visible & batch.mask
        normalised: Tensor = self.frontend(batch.features, visible)
        return normalised


class Pretrainer(ParallelNetworks[PretrainingNetwork]):
    """The networks of a pretraining; their encoders have the names that a classifier's have."""

    def outcome_of(self, network: PretrainingNetwork, batch: FrameBatch) -> Outcome:
        """What one of the networks predicts, in the model's precision."""
        with autocast(batch.features.device, self.precision):
            outcome: Outcome = network(batch)
            return outcome


def build_pretrainer(recipe: PretrainingRecipe, n_mels: int) -> Pretrainer:
    """The model that `recipe` describes, with weights drawn from torch's global generator."""
    objective = OBJECTIVES[recipe.pretraining.objective]
    return Pretrainer(
        PretrainingNetwork(
            Frontend(recipe.features.normalisation),
            build_encoder(config, n_mels),
            objective(recipe.pretraining, config.d_encoded, UNIT * n_mels),
            config.subsampling,
        )
        for config in recipe.networks
        for _ in range(config.count)
    )


def unit_frames(features: Tensor, mask: Mask) -> tuple[Tensor, Tensor]:
    """Frames (B, U, UNIT · n_mels), each band with a mean of 0 and a variance of 1 over the real
    frames, and which units are real (B, U).
    """
    mean, deviation = moments_of(features, mask)
    frames = zero_padding((features - mean.unsqueeze(1)) / deviation.unsqueeze(1), mask)
    units = by_unit(frames, UNIT).flatten(2)
    if mask is None:
        return units, torch.ones(units.shape[:2], dtype=torch.bool, device=units.device)
    return units, mask[:, ::UNIT]


def mean_by_unit(x: Tensor, mask: Mask, size: int) -> Tensor:
    """The mean (B, U, D) of the real ones of every `size` of x (B, T, D)."""
    if size == 1:
        return x
    real = x.new_ones(x.shape[:2]) if mask is None else mask.to(x.dtype)
    count = by_unit(real, size).sum(2).clamp_min(1)
    return by_unit(zero_padding(x, mask), size).sum(2) / count.unsqueeze(-1)
