"""The batch of a training step: segments, augmented, and mixed up with partners."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kaggle_hw4.data.augment import Augmenter, Channel
from kaggle_hw4.data.segments import (
    PARTNERS,
    FrameStore,
    IntArray,
    Segments,
    draw_segments,
    draw_starts,
    segment_length,
)
from kaggle_hw4.device import upload
from kaggle_hw4.padding import Mask, zero_padding
from kaggle_hw4.recipe import Recipe


@dataclass(frozen=True)
class Batch:
    """Features (B, T, n_mels), float32, and their mask (B, T). Each is `share` (B,) of the speaker
    in `labels` (B,) and 1 - `share` of the one in `partner_labels` (B,).

    A teacher's probabilities are `soft` (B, C); `labelled` (B,) is 0 where nothing else is known.
    """

    features: Tensor
    mask: Mask
    labels: Tensor
    partner_labels: Tensor
    share: Tensor
    soft: Tensor | None = None
    labelled: Tensor | None = None


class SoftTargets(Protocol):
    """A teacher's probabilities of every row of the corpus: a tensor (…, C), or what makes them."""

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Those (B, C) of some `rows` (B,)."""


class Batches:
    """The batches of a training run: `at(step)` is a function of the seed and the step alone, and
    of the step's place in the schedule.

    `rows` are the rows trained on, `sessions` the session clusters of all training rows. `labels`
    and a teacher's probabilities `soft` (…, C) are of every row of the corpus; without labels of
    its own a row has the corpus's, -1: none.
    """

    def __init__(
        self,
        store: FrameStore,
        rows: IntArray,
        sessions: IntArray,
        recipe: Recipe,
        seed: int,
        labels: IntArray | None = None,
        soft: SoftTargets | None = None,
    ) -> None:
        self.store, self.rows, self.sessions = store, rows, sessions
        self.recipe, self.seed, self.soft = recipe, seed, soft
        self.labels = store.corpus.labels if labels is None else labels
        self.partly_labelled = bool((self.labels[rows] < 0).any())

    def at(self, step: int, place: float | None = None) -> Batch:
        """The batch of `step`, on the store's device; its `place` in the schedule is the step
        unless the schedule is stretched.
        """
        recipe, store = self.recipe, self.store
        size, frames = recipe.segments.batch_size, segment_length(self.seed, step, recipe, place)
        segments = draw_segments(self.seed, step, self.rows, store.corpus.lengths, size, frames)
        random = np.random.default_rng([self.seed, PARTNERS, step])
        augmenter = Augmenter(recipe.augment, self.seed, step)
        features, mask = store.gather(segments)
        if recipe.augment.channel_swap:
            others = self._other_speakers(segments.rows, random)
            channels = self._channel(segments.rows), self._channel(others)
            features = augmenter(features, mask, *channels)
        else:
            features = augmenter(features, mask)
        labels, soft, labelled = self._targets(segments.rows)
        whole = torch.ones(size, device=store.device)
        batch = Batch(features, mask, labels, labels, whole, soft, labelled)
        return self._mixed(batch, segments, random) if recipe.augment.mixup else batch

    def _targets(self, rows: IntArray) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The labels (B,) of `rows`, a teacher's probabilities (B, C), and which have a label."""
        labels, device = upload(self.labels[rows], self.store.device), self.store.device
        soft = None if self.soft is None else self.soft[upload(rows, device)]
        if not self.partly_labelled:
            return labels, soft, None
        return labels.clamp_min(0), soft, (labels >= 0).float()

    def _mixed(self, batch: Batch, segments: Segments, random: np.random.Generator) -> Batch:
        """Mixup (Zhang et al. 2018) of a share of the segments, each keeping half or more."""
        augment, size = self.recipe.augment, len(segments.rows)
        rows, features, mask = self._partners(batch, segments, random)
        same_speaker = augment.mixup_with == "same_speaker"
        labels = batch.labels if same_speaker else batch.labels.roll(1, 0)
        mixed = random.random(size) < augment.mixup
        drawn = np.where(mixed, random.uniform(0.5, 1, size), 1).astype(np.float32)
        share = upload(drawn, self.store.device)
        mixed_in = (1 - share)[:, None, None] * (features - batch.features)
        # Where either is padding, the segment stays as it was.
        features = batch.features + zero_padding(zero_padding(mixed_in, mask), batch.mask)
        _, soft, labelled = self._targets(rows)
        if soft is not None and batch.soft is not None:
            soft = batch.soft + (1 - share)[:, None] * (soft - batch.soft)
        if labelled is not None and batch.labelled is not None:
            labelled = batch.labelled * torch.where(share < 1, labelled, 1.0)
        return Batch(features, batch.mask, batch.labels, labels, share, soft, labelled)

    def _partners(
        self, batch: Batch, segments: Segments, random: np.random.Generator
    ) -> tuple[IntArray, Tensor, Mask]:
        """What is mixed in: the rows of the partners, their features and mask."""
        if self.recipe.augment.mixup_with == "any":
            mask = None if batch.mask is None else batch.mask.roll(1, 0)
            return np.roll(segments.rows, 1), batch.features.roll(1, 0), mask
        rows = self._other_sessions(segments.rows, random)
        starts = draw_starts(random, self.store.corpus.lengths[rows], segments.lengths)
        return rows, *self.store.gather(Segments(rows, starts, segments.lengths))

    def _channel(self, rows: IntArray) -> Channel:
        """The channel statistics of `rows` (B,), on the device."""
        statistics, device = self.store.corpus.channels[rows], self.store.device
        return Channel(upload(statistics.mean, device), upload(statistics.quiet, device))

    def _other_speakers(self, rows: IntArray, random: np.random.Generator) -> IntArray:
        """For each row a training row: the first of another speaker among eight random ones."""
        labels, candidates = self.labels, random.choice(self.rows, (8, len(rows)))
        first = (labels[candidates] != labels[rows]).argmax(0)
        return np.asarray(candidates[first, np.arange(len(rows))])

    def _other_sessions(self, rows: IntArray, random: np.random.Generator) -> IntArray:
        """For each row one of the same speaker, of another session cluster where there is one."""
        labels, partners = self.labels, []
        for row in rows:
            same = self.rows[labels[self.rows] == labels[row]]
            other = same[self.sessions[same] != self.sessions[row]]
            partners.append(random.choice(other if len(other) else same))
        return np.array(partners, np.int64)
