"""The batch of a pretraining step: segments without labels, and what is hidden of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from kaggle_hw4.data.augment import Augmenter
from kaggle_hw4.data.segments import (
    HIDDEN,
    FrameStore,
    IntArray,
    Segments,
    draw_segments,
    segment_length,
)
from kaggle_hw4.device import upload
from kaggle_hw4.padding import Mask
from kaggle_hw4.pretraining.objective import Objective
from kaggle_hw4.pretraining.recipe import UNIT, PretrainingRecipe

VALIDATED = 256  # segments at the most


@dataclass(frozen=True)
class FrameBatch:
    """Features (B, T, n_mels), float32, and their mask (B, T); which units are hidden (B, U), and
    what else the objective has drawn.
    """

    features: Tensor
    mask: Mask
    hidden: Tensor | None
    extra: Tensor | None


class FrameBatches:
    """The batches of a pretraining: `at(step)` is a function of the seed and the step alone."""

    def __init__(
        self,
        store: FrameStore,
        rows: IntArray,
        recipe: PretrainingRecipe,
        objective: Objective,
        seed: int,
    ) -> None:
        self.store, self.rows, self.recipe = store, rows, recipe
        self.objective, self.seed = objective, seed

    def at(self, step: int, place: float | None = None) -> FrameBatch:
        """The batch of `step`, on the store's device."""
        recipe, lengths = self.recipe, self.store.corpus.lengths
        frames = segment_length(self.seed, step, recipe, place)
        size = recipe.segments.batch_size
        segments = draw_segments(self.seed, step, self.rows, lengths, size, frames)
        features, mask = self.store.gather(segments)
        features = Augmenter(recipe.augment, self.seed, step)(features, mask)
        random = np.random.default_rng([self.seed, HIDDEN, step])
        return self._batch(features, mask, random)

    def held_out(self, rows: IntArray) -> Iterator[FrameBatch]:
        """The same few segments of `rows` every time, evenly spaced, with the same units hidden."""
        size, frames = self.recipe.segments.batch_size, self.recipe.segments.frames
        few = rows[:: -(-len(rows) // VALIDATED)]
        for start in range(0, len(few), size):
            chosen = few[start : start + size]
            begin, length = np.zeros_like(chosen), np.full_like(chosen, frames)
            features, mask = self.store.gather(Segments(chosen, begin, length))
            yield self._batch(features, mask, np.random.default_rng([HIDDEN, start]))

    def _batch(self, features: Tensor, mask: Mask, random: np.random.Generator) -> FrameBatch:
        drawn = self.objective.draw(random, len(features), -(-features.shape[1] // UNIT))
        device = self.store.device
        hidden = None if drawn.hidden is None else upload(drawn.hidden, device)
        extra = None if drawn.extra is None else upload(drawn.extra, device)
        return FrameBatch(features, mask, hidden, extra)
