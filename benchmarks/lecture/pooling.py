"""Chapter 11: what poolings make of frames that say nothing."""

import numpy as np
import torch
from torch import Tensor

from benchmarks.lecture.claims import Claim, accuracy, difference, mean_and_spread
from benchmarks.lecture.conformer import train_conformer
from benchmarks.lecture.lab import Change, Lab, captured
from benchmarks.lecture.pictures import Labels, over_frames
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.models.pooling import masked_softmax
from kaggle_hw4.report.plots import Series, lines

POOLINGS = ("mean", "max", "statistics", "self_attention", "multi_head", "attentive_statistics")
ATTENTIVE = ("self_attention", "multi_head", "attentive_statistics")
SHARES = (0.0, 0.25, 0.5)  # of the frames of an utterance that are added ones
QUIET = 0.1  # the share of the frames that are copied as silence: the quietest ones
UTTERANCES = 40


def added(kind: str, share: float) -> Change:
    """Adds silence (copies of the quietest frames) or noise (of the utterance's mean spectrum) in
    the midst of an utterance that is normalised already, until they are `share` of it.
    """

    def change(x: Tensor, random: np.random.Generator) -> Tensor:
        count, middle = count_of(x, share), len(x) // 2
        if kind == "silence":
            quiet = x.mean(1).argsort()[: max(1, round(QUIET * len(x)))].numpy()
            frames = x[random.choice(quiet, count)]
        else:
            frames = torch.from_numpy(random.normal(0, 0.5, (count, x.shape[1]))).float()
        return torch.cat([x[:middle], frames, x[middle:]])

    return change


def count_of(x: Tensor, share: float) -> int:
    return round(len(x) * share / (1 - share))


def dilution(lab: Lab) -> tuple[Claim, str]:
    """Accuracy of every pooling as silence or noise is added to the test utterances."""
    rows, losses, curves = [], {}, []
    for pooling in POOLINGS:
        models = train_conformer(lab, pooling=pooling)
        for kind in ("silence", "noise"):
            hits = [lab.hits(models, after=added(kind, share)) for share in SHARES]
            losses[pooling, kind] = difference(hits[2], hits[0], lab.speakers)
            cells = [accuracy(each) for each in hits]
            rows.append((f"`{pooling}`, {kind}", *cells, str(losses[pooling, kind])))
            if kind == "silence":
                shares = [100 * share for share in SHARES]
                curves.append(Series(pooling, shares, [100 * each.mean() for each in hits]))
    svg = lines(
        Labels("dilution", "Accuracy by silence", "", "silence added, % of frames", "accuracy, %"),
        curves,
    )
    return Claim(
        "dilution",
        "Mean and statistics pooling treat all frames alike, silence and noise included: they "
        "dilute",
        "with half of the frames silence, and with half of them noise, both lose accuracy, more "
        "than two standard errors",
        all(losses[p, k].is_loss for p in ("mean", "statistics") for k in ("silence", "noise")),
        ("pooling, added frames", *(f"{100 * s:g} %" for s in SHARES), "50 % less 0 %, points"),
        tuple(rows),
        "dilution",
        "Accuracy in unseen sessions as silence is added in the midst of the test utterances.",
    ), svg


def pooling_weights(model: SpeakerClassifier, x: Tensor) -> np.ndarray:
    """The weights (T,) of an attentive pooling over an utterance, means over its heads."""
    [network] = model.networks
    with captured(network.pooling) as calls:
        model_embedding(model, x)
    inputs = calls[0][0][0]
    return masked_softmax(network.pooling.score(inputs), None)[0].mean(-1).numpy()


def model_embedding(model: SpeakerClassifier, normalised: Tensor) -> None:
    [network] = model.networks
    encoded, _ = network.encoder(normalised[None], None)
    network.pooling(encoded.float(), None)


@torch.inference_mode()
def attended(lab: Lab) -> tuple[Claim, str]:
    """The weight that attentive poolings give to added frames, and what they attend to."""
    rows, silence, curves, gains = [], {}, {}, {}
    bare = loss_of(lab, "mean")
    for pooling in ATTENTIVE:
        models = train_conformer(lab, pooling=pooling)
        weights = {
            kind: [weight_of_added(m, lab, kind) for m in models] for kind in ("silence", "noise")
        }
        silence[pooling] = 100 * float(np.mean(weights["silence"]))
        loud = [loudness_correlation(model, lab) for model in models]
        cells = (
            *(mean_and_spread([100 * v for v in values], 0) for values in weights.values()),
            mean_and_spread(loud),
        )
        gains[pooling] = difference(loss_of(lab, pooling), bare, lab.speakers)
        rows.append((f"`{pooling}`", *cells, str(gains[pooling])))
        x = models[0].networks[0].frontend(lab.longest[None], None)[0]
        shown = pooling_weights(models[0], x)
        curves[pooling] = shown / shown.max()
    rows.append(("`mean`", "50", "50", "0", "0"))
    labels = Labels("pooling", "What poolings attend to", "", "seconds", "weight over the largest")
    return Claim(
        "attended",
        "Self-attention pooling learns a weight for each frame, so that silence counts less",
        "where half of the frames are silence, self-attention pooling gives them less than half of "
        "the weight, and its accuracy falls less than that of the mean, by two standard errors",
        silence["self_attention"] < 50 and gains["self_attention"].is_gain,
        ("pooling", "weight of 50 % silence, %", "weight of 50 % noise, %",
         "correlation of weight and loudness", "fall in 50 % silence, less that of the mean"),
        tuple(rows),
        "pooling",
        "The weights of three poolings over a test utterance, below its frames.",
    ), over_frames(labels, lab.longest.numpy(), curves)  # fmt: skip


def loss_of(lab: Lab, pooling: str) -> np.ndarray:
    """By model and utterance: whether it is recognised with half of it silence, less without."""
    models = train_conformer(lab, pooling=pooling)
    with_silence = lab.hits(models, after=added("silence", 0.5))
    return with_silence.astype(float) - lab.hits(models)


def weight_of_added(model: SpeakerClassifier, lab: Lab, kind: str) -> float:
    """The weight on added frames that are half of an utterance, the mean over utterances."""
    change, sums = added(kind, 0.5), []
    for i, frames in enumerate(lab.test[:UTTERANCES]):
        x = model.networks[0].frontend(frames[None], None)[0]
        weights = pooling_weights(model, change(x, np.random.default_rng([0, i])))
        middle = len(x) // 2
        sums.append(weights[middle : middle + count_of(x, 0.5)].sum())
    return float(np.mean(sums))


def loudness_correlation(model: SpeakerClassifier, lab: Lab) -> float:
    """The correlation of a frame's weight with its level, the mean over utterances."""
    values = []
    for frames in lab.test[:UTTERANCES]:
        x = model.networks[0].frontend(frames[None], None)[0]
        values.append(np.corrcoef(pooling_weights(model, x), frames.mean(1).numpy())[0, 1])
    return float(np.mean(values))
