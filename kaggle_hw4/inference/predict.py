"""Logits of utterances: embeddings of segments in masked batches sorted by length, averaged.

The segments of an utterance can be averaged as embeddings, as logits or as probabilities. The
mean of *log*-probabilities is no fourth way: it is the mean of logits, less a constant of the row.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kaggle_hw4.data.segments import FrameStore, IntArray, Segments
from kaggle_hw4.device import enough_memory
from kaggle_hw4.inference.spreading import spread_factors, spread_within
from kaggle_hw4.logits import MANY, AnyLogits, Floats, LowRankLogits
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.progress import Bar, Progress, no_bar
from kaggle_hw4.ranks import ALONE, Ranks
from kaggle_hw4.recipe import PredictionConfig

WHOLE = PredictionConfig(
    weights="ema", segments=0, frames=[1], average="logits", spreading_neighbours=0
)
BATCH_FRAMES = {"cpu": 4096, "cuda": 16384}  # padding included; a CPU's stay in its cache
BATCH_SCORES = 2**25  # attention scores in a batch and head: what the longest utterances cost
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
    low rank where there are many classes.

    With `config.spreading_neighbours` they are log-probabilities after label spreading over `rows`,
    or within each of their `subsets`: its indices into `rows`, and those of them that count there.
    `bar(name)` makes the progress of a stage.
    """
    [logits] = predict_together([Predictor(model, config, subsets)], store, rows, bar, ranks)
    return logits


@torch.inference_mode()
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
    models = [predictor.model for predictor in predictors]
    modes = [model.training for model in models]
    for model in models:
        model.eval()
    config, progress = predictors[0].config, bar("prediction")
    where, embeddings = embed_segments(models, store, rows, config, progress, ranks)
    logits = [
        average_segments(predictor, store, rows, where, embedded, bar)
        for predictor, embedded in zip(predictors, embeddings, strict=True)
    ]
    for model, mode in zip(models, modes, strict=True):
        model.train(mode)
    return logits


def average_segments(
    predictor: Predictor,
    store: FrameStore,
    rows: IntArray,
    where: Tensor,
    embeddings: Tensor,
    bar: Bar = no_bar,
) -> AnyLogits:
    """The logits (len(rows), C) of `rows` from what `embed_segments` returns for one model."""
    model, config, n = predictor.model, predictor.config, len(rows)
    low_rank = pays_as_factors(model, config, n, len(store.corpus.speakers))
    average = average_factors if low_rank else average_logits
    values = average(model, config, embeddings, where, n, store.device)
    neighbours = config.spreading_neighbours
    assert neighbours != "auto", "it is settled by whoever knows the folds"
    if not neighbours or n < 2:
        return values
    within = predictor.subsets or [(np.arange(n), np.arange(n))]
    channels = store.corpus.channels.descriptor[rows]
    others = mean_by_row(embeddings, where, n), channels, neighbours, bar("label spreading")
    if isinstance(values, LowRankLogits):
        return spread_factors(within, values, *others)
    spread: Floats = spread_within(within, torch.from_numpy(values), *others).numpy()
    return spread


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


def embed_segments(
    models: Sequence[SpeakerClassifier],
    store: FrameStore,
    rows: IntArray,
    config: PredictionConfig,
    progress: Progress = lambda *_: None,
    ranks: Ranks = ALONE,
) -> tuple[Tensor, list[Tensor]]:
    """The place in `rows` (S,) of each segment's utterance, and each model's embeddings (S, D); on
    the CPU, whose sums are the same every time. `progress(done, total)` counts segments.

    Of several `ranks` each takes every so many-th batch, and the sum over ranks is what a single
    one computes, to the bit: the batches are the same, and 0 where another rank computes.
    """
    where, cuts = plan_segments(store.corpus.lengths[rows], config)
    embeddings = [torch.zeros(len(where), model.d_embedding) for model in models]
    done = 0
    most = BATCH_FRAMES.get(store.device.type, BATCH_FRAMES["cuda"])
    for number, chosen in enumerate(batches(cuts[:, 1], most)):
        if number % ranks.count == ranks.rank:
            # The frames are gathered, padded and put on the device once for all models.
            starts, lengths = cuts[chosen].T
            features, mask = store.gather(Segments(rows[where[chosen]], starts, lengths))
            place = torch.from_numpy(chosen)
            with enough_memory("a prediction", "predict on the CPU"):
                computed = [model.embed(features, mask).float() for model in models]
                for embedded, values in zip(embeddings, computed, strict=True):
                    embedded[place] = values.cpu()
        done += len(chosen)
        progress(done, len(where))
    return torch.from_numpy(where), list(ranks.total(embeddings))


def apply_head(
    model: SpeakerClassifier,
    embeddings: Tensor,
    device: torch.device,
    head: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The plain logits (S, C) of embeddings (S, D), float32; or what another `head` makes."""
    chunks: tuple[Tensor, ...] = torch.split(embeddings, HEAD_ROWS)
    return torch.cat([(head or model.head)(part.to(device)).cpu() for part in chunks])


def mean_by_row(values: Tensor, where: Tensor, n: int) -> Tensor:
    """The mean (n, D) of the values (S, D) that belong to each of n rows."""
    total = values.new_zeros(n, values.shape[1]).index_add_(0, where, values)
    return total / torch.bincount(where, minlength=n).unsqueeze(1)


def plan_segments(lengths: IntArray, config: PredictionConfig) -> tuple[IntArray, IntArray]:
    """Which segments to predict: the index (S,) of each one's utterance, (start, length) (S, 2).

    `config.segments` of each of `config.frames`, evenly spaced from the first frame to the last; an
    utterance that is no longer than one of them, or a config of none, takes the whole at once.
    """
    if config.segments == 0:
        return np.arange(len(lengths)), np.stack([np.zeros_like(lengths), lengths], 1)
    parts = [even_segments(lengths, config.segments, frames) for frames in config.frames]
    return np.concatenate([w for w, _ in parts]), np.concatenate([cuts for _, cuts in parts])


def even_segments(lengths: IntArray, count: int, frames: int) -> tuple[IntArray, IntArray]:
    """`count` segments of `frames` frames of every utterance, as `plan_segments` returns them."""
    spare = np.maximum(lengths - frames, 0)
    counts = np.where(spare > 0, count, 1)
    where = np.repeat(np.arange(len(lengths)), counts)
    number = np.arange(len(where)) - np.repeat(np.cumsum(counts) - counts, counts)
    # A lone segment stands in the middle.
    share = (number / (count - 1)) if count > 1 else np.full(len(where), 0.5)
    starts = np.rint(spare[where] * share).astype(np.int64)
    return where, np.stack([starts, np.minimum(lengths, frames)[where]], 1)


def batches(lengths: IntArray, most: int) -> Iterator[IntArray]:
    """Indices of segments in batches of like length, longest first, each of `most` frames at most
    and within the budget of scores.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        size = max(1, min(most // longest, BATCH_SCORES // longest**2))
        yield order[start : start + size]
        start += size
