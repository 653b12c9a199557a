"""What is made of a network's logits of a set: statistics, self-training and label spreading.

All of it is closed form, and nothing of it is trained by gradients: it works for every finished
run. The weights are those of the fold's validation, and no label of another set is used.
"""

from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from kaggle_hw4.data.segments import FrameStore, IntArray
from kaggle_hw4.inference.embed import statistics_of
from kaggle_hw4.inference.fusion import Analyses, fit_weights, fuse, learn_within
from kaggle_hw4.inference.predict import Alone, Predictor, find_neighbours, spread
from kaggle_hw4.logits import AnyLogits, Part
from kaggle_hw4.progress import Bar, no_bar
from kaggle_hw4.run_manifest import FusionWeights


class Statistics:
    """The second-order statistics of all utterances and what is known of them, each made once."""

    def __init__(self, store: FrameStore, bar: Bar = no_bar) -> None:
        self.store = store
        self.bar = bar
        self.fitted: dict[bytes, Analyses] = {}  # by the rows

    @cached_property
    def points(self) -> list[Tensor]:
        """Both statistics, each (n, D), of all rows of the corpus."""
        return statistics_of(self.store, np.arange(len(self.store.corpus.ids)), self.bar)

    def at(self, rows: IntArray) -> list[Tensor]:
        """Both statistics, each (len(rows), D)."""
        chosen = torch.from_numpy(rows)
        return [points[chosen] for points in self.points]

    def analyses(self, rows: IntArray) -> Analyses:
        """Of the rows whose labels may be known."""
        key = rows.tobytes()
        if key not in self.fitted:
            corpus = self.store.corpus
            labels = torch.from_numpy(corpus.labels[rows])
            self.fitted[key] = Analyses.fit(self.at(rows), labels, len(corpus.speakers))
        return self.fitted[key]

    def add_to(self, alone: Alone, rows: IntArray, labelled: IntArray) -> tuple[Alone, list[Part]]:
        """The logits of both statistics of `rows`, and what the network makes of them with the
        correlations' coordinates beside its embeddings. With the covariances' as well, thin data
        lose (docs/LOG.md).
        """
        analyses, statistics = self.analyses(labelled), self.at(rows)
        coordinates = analyses.correlations.coordinates(statistics[0])
        embeddings = torch.cat([alone.embeddings, coordinates], 1)
        return replace(alone, embeddings=embeddings), analyses.parts(statistics)


@torch.inference_mode()
def refine(
    predictor: Predictor,
    alone: Alone,
    statistics: Statistics,
    rows: IntArray,
    labelled: IntArray,
    weights: FusionWeights | None = None,
) -> tuple[AnyLogits, FusionWeights | None]:
    """The logits (n, C) of `rows` as the predictor's config asks, and the weights of what was
    summed, None of a single summand.

    The analyses of statistics know the labels of the rows `labelled`. Without `weights`, they are
    fitted: the rows' own labels are known, as those of a validation are.
    """
    config, store, bar = predictor.config, statistics.store, statistics.bar
    parts: list[Part] = []
    if config.statistics:
        alone, parts = statistics.add_to(alone, rows, labelled)
    neighbours = find_neighbours(predictor, alone, store, rows, bar)
    if not parts and not config.self_training:
        return spread(alone.logits, neighbours), None

    def fused(known: FusionWeights | None) -> tuple[AnyLogits, tuple[float, ...]]:
        labels = store.corpus.labels[rows]
        values = known.values if known else fit_weights(alone.logits, parts, labels)
        return spread(fuse(alone.logits, parts, values), neighbours), values

    # The network and the statistics; self-training has a guess to begin with.
    logits, values = fused(weights and (weights.guess or weights))
    guess = FusionWeights.of(values)
    if not config.self_training:
        return logits, guess
    # Its own logits are one part more.
    parts.append(learn_within(predictor.within(len(rows)), alone.embeddings, logits))
    logits, values = fused(weights)
    return logits, FusionWeights.of(values, guess)
