"""Logits of utterances: embeddings of segments in masked batches sorted by length, averaged.

The segments of an utterance can be averaged as embeddings, as logits or as probabilities. The
mean of *log*-probabilities is no fourth way: it is the mean of logits, less a constant of the row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kaggle_hw4.data.segments import FrameStore, IntArray
from kaggle_hw4.inference.embed import embed_segments, mean_by_row
from kaggle_hw4.inference.spreading import NeighboursWithin
from kaggle_hw4.logits import MANY, AnyLogits, Floats, LowRankLogits
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.progress import Bar, no_bar
from kaggle_hw4.ranks import ALONE, Ranks
from kaggle_hw4.recipe import PredictionConfig

HEAD_ROWS = 2**14  # embeddings that the head takes at a time
TINY = float(torch.finfo(torch.float32).tiny)


@dataclass(frozen=True)
class Predictor:
    """A model, and how its embeddings of segments become logits of utterances; `subsets` of the
    rows are those that labels are spread within.
    """

    model: SpeakerClassifier
    config: PredictionConfig
    subsets: Sequence[tuple[IntArray, IntArray]] | None = None

    def within(self, n: int) -> Sequence[tuple[IntArray, IntArray]]:
        """The subsets of n rows: all of them as one, where there are no others."""
        return self.subsets or [(np.arange(n), np.arange(n))]


@dataclass(frozen=True)
class Alone:
    """What a model makes of utterances, each by itself: logits (n, C), mean embeddings (n, D)."""

    logits: AnyLogits
    embeddings: Tensor


def predict_logits(
    model: SpeakerClassifier,
    store: FrameStore,
    rows: IntArray,
    config: PredictionConfig,
    subsets: Sequence[tuple[IntArray, IntArray]] | None = None,
    bar: Bar = no_bar,
    ranks: Ranks = ALONE,
) -> AnyLogits:
    """Plain logits (len(rows), C), in the order of `rows`, averaged over each one's segments; of
    low rank where there are many classes. Nothing is fused here: what `config.statistics` and
    `config.self_training` ask for needs labels (`logits.predict_sets`).

    With `config.spreading_neighbours` they are log-probabilities after label spreading over `rows`,
    or within each of their `subsets`: its indices into `rows`, and those of them that count there.
    `bar(name)` makes the progress of a stage.
    """
    [logits] = predict_together([Predictor(model, config, subsets)], store, rows, bar, ranks)
    return logits


def predict_together(
    predictors: Sequence[Predictor],
    store: FrameStore,
    rows: IntArray,
    bar: Bar = no_bar,
    ranks: Ranks = ALONE,
) -> list[AnyLogits]:
    """What `predict_logits` returns for each of several models, to the bit, in one pass over the
    segments: `config.segments` and `config.frames` are the same in all of their configs.
    """
    alone = predict_alone(predictors, store, rows, bar, ranks)
    return [
        spread(each.logits, find_neighbours(predictor, each, store, rows, bar))
        for predictor, each in zip(predictors, alone, strict=True)
    ]


@torch.inference_mode()
def predict_alone(
    predictors: Sequence[Predictor],
    store: FrameStore,
    rows: IntArray,
    bar: Bar = no_bar,
    ranks: Ranks = ALONE,
) -> list[Alone]:
    """What each of several models makes of `rows`, in one pass over their segments."""
    models = [predictor.model for predictor in predictors]
    modes = [model.training for model in models]
    for model in models:
        model.eval()
    config, progress = predictors[0].config, bar("prediction")
    where, embeddings = embed_segments(models, store, rows, config, progress, ranks)
    alone = [
        average_segments(predictor, store, where, embedded, len(rows))
        for predictor, embedded in zip(predictors, embeddings, strict=True)
    ]
    for model, mode in zip(models, modes, strict=True):
        model.train(mode)
    return alone


def average_segments(
    predictor: Predictor, store: FrameStore, where: Tensor, embeddings: Tensor, n: int
) -> Alone:
    """What a model makes of n rows, from what `embed_segments` returns for it."""
    model, config = predictor.model, predictor.config
    low_rank = pays_as_factors(model, config, n, len(store.corpus.speakers))
    average = average_factors if low_rank else average_logits
    logits = average(model, config, embeddings, where, n, store.device)
    return Alone(logits, mean_by_row(embeddings, where, n))


@torch.inference_mode()
def find_neighbours(
    predictor: Predictor, alone: Alone, store: FrameStore, rows: IntArray, bar: Bar = no_bar
) -> NeighboursWithin | None:
    """Those that the labels of `rows` are spread over; None where they are not."""
    neighbours, n = predictor.config.spreading_neighbours, len(rows)
    assert neighbours != "auto", "it is settled by whoever knows the folds"
    if not neighbours or n < 2:
        return None
    channels, progress = store.corpus.channels.descriptor[rows], bar("label spreading")
    within = predictor.within(n)
    return NeighboursWithin.find(within, alone.embeddings, channels, neighbours, progress)


@torch.inference_mode()
def spread(logits: AnyLogits, neighbours: NeighboursWithin | None) -> AnyLogits:
    """The logits (n, C), spread over the neighbours if there are any."""
    return logits if neighbours is None else neighbours.spread(logits)


def pays_as_factors(
    model: SpeakerClassifier, config: PredictionConfig, n: int, classes: int
) -> bool:
    """Whether n rows of logits are kept with low rank: of many classes, where they are so."""
    linear = model.has_low_rank and config.average != "probabilities"
    return linear and classes >= MANY and (n + classes) * model.d_embedding < n * classes


def average_logits(
    model: SpeakerClassifier,
    config: PredictionConfig,
    embeddings: Tensor,
    where: Tensor,
    n: int,
    device: torch.device,
) -> Floats:
    """The logits (n, C) of rows whose segments have these embeddings (S, D)."""
    if config.average == "embeddings":
        logits = apply_head(model, mean_by_row(embeddings, where, n), device)
    elif config.average == "logits":
        logits = mean_by_row(apply_head(model, embeddings, device), where, n)
    else:
        probabilities = apply_head(model, embeddings, device).softmax(1)
        logits = mean_by_row(probabilities, where, n).clamp_min(TINY).log()
    values: Floats = logits.numpy()
    return values


def average_factors(
    model: SpeakerClassifier,
    config: PredictionConfig,
    embeddings: Tensor,
    where: Tensor,
    n: int,
    device: torch.device,
) -> LowRankLogits:
    """The same with low rank, and never as a matrix: means of factors give means of logits."""
    if config.average == "embeddings":
        factors = apply_head(model, mean_by_row(embeddings, where, n), device, model.factors)
    else:
        factors = mean_by_row(apply_head(model, embeddings, device, model.factors), where, n)
    return LowRankLogits.of(factors.numpy(), model.vectors().cpu().numpy())


def apply_head(
    model: SpeakerClassifier,
    embeddings: Tensor,
    device: torch.device,
    head: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The plain logits (S, C) of embeddings (S, D), float32; or what another `head` makes."""
    chunks: tuple[Tensor, ...] = torch.split(embeddings, HEAD_ROWS)
    return torch.cat([(head or model.head)(part.to(device)).cpu() for part in chunks])
