"""Chapter 10: the local sensitivity of a Conformer, beside a Transformer of the same frame."""

from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.lecture.attention import relative_change, shuffled, swapped
from benchmarks.lecture.claims import Claim, accuracy, difference, small
from benchmarks.lecture.lab import Change, Lab
from kaggle_hw4.models.classifier import SpeakerClassifier

TRANSFORMERS = ("zoo/transformer", "zoo/sinusoidal", "zoo/rotary")


def train_conformer(lab: Lab, **changes: Any) -> list[SpeakerClassifier]:
    """Strong's Conformer with all else as in `zoo/transformer`: linear stem, no noise added."""
    same = {"stem": "linear", "subsampling": 1, "augment__noise": 0.0}
    return lab.train("strong", **(same | changes))


def sensitivity(lab: Lab) -> Claim:
    """What becomes of embeddings when every two neighbouring frames change places."""
    models = {f"`{name}`": lab.train(name) for name in TRANSFORMERS}
    models["Conformer, linear stem"] = train_conformer(lab)
    rows, changes = [], {}
    for name, each in models.items():
        plain = [lab.embed(model) for model in each]
        near, far = (mean_change(lab, each, plain, how) for how in (swapped, shuffled))
        changes[name] = near
        rows.append((name, small(near), small(far), accuracy(lab.hits(each))))
    conformer = changes.pop("Conformer, linear stem")
    return Claim(
        "local",
        "A Transformer lacks local sensitivity, which a Conformer's convolution has",
        "swapping every two neighbouring frames changes a Conformer's embeddings by more than "
        "twice as much as those of any Transformer",
        conformer > 2 * max(changes.values()),
        ("encoder", "neighbours swapped: change of the embedding", "all shuffled: change",
         "accuracy, %"),
        tuple(rows),
    )  # fmt: skip


def mean_change(
    lab: Lab, models: list[SpeakerClassifier], plain: list[Tensor], how: Change
) -> float:
    """How much `how` changes embeddings, the mean over models."""
    pairs = zip(plain, models, strict=True)
    return float(np.mean([relative_change(x, lab.embed(m, after=how)) for x, m in pairs]))


def better(lab: Lab) -> Claim:
    """A Conformer against Transformers of the same width and depth."""
    hits = lab.hits(train_conformer(lab))
    gains = {n: difference(hits, lab.hits(lab.train(n)), lab.speakers) for n in TRANSFORMERS}
    return Claim(
        "conformer",
        "A Conformer is more accurate than a Transformer of its width and depth",
        "it is above each Transformer by more than two standard errors",
        all(gain.is_gain for gain in gains.values()),
        ("Transformer", "Conformer above it, points"),
        tuple((f"`{name}`", str(gain)) for name, gain in gains.items()),
    )
