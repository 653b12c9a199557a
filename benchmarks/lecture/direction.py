"""Chapter 4: is an utterance played forwards or backwards? A question about nothing but order."""

from dataclasses import replace

import numpy as np
import torch

from benchmarks.lecture.attention import reversed_
from benchmarks.lecture.claims import Claim, accuracy
from benchmarks.lecture.lab import Lab, Task
from kaggle_hw4.data.batches import Batch

RECIPES = ("zoo/transformer", "zoo/sinusoidal", "zoo/rotary", "zoo/lstm", "strong")


def half_reversed(batch: Batch) -> Batch:
    """Every second segment backwards; the label is whether it is. Full segments have no padding."""
    backwards = torch.arange(len(batch.labels)) % 2
    lengths = (
        torch.full_like(batch.labels, batch.features.shape[1])
        if batch.mask is None
        else batch.mask.sum(1)
    )
    t = torch.arange(batch.features.shape[1])
    turned = (lengths[:, None] - 1 - t).clamp_min(0)
    order = torch.where((backwards[:, None] == 1) & (t < lengths[:, None]), turned, t)
    features = batch.features.gather(1, order[:, :, None].expand_as(batch.features))
    return replace(batch, features=features, labels=backwards, partner_labels=backwards)


def direction(lab: Lab) -> Claim:
    """How often models that were trained on this question are right on test utterances."""
    task, rows, hits = Task("-direction", 2, half_reversed), [], {}
    for name in RECIPES:
        models = lab.train(name, task)
        forwards = np.stack([lab.logits(m).argmax(1) == 0 for m in models])
        backwards = np.stack([lab.logits(m, after=reversed_).argmax(1) == 1 for m in models])
        hits[name] = np.concatenate([forwards, backwards], axis=1)
        rows.append((f"`{name}`", accuracy(hits[name])))
    able = [100 * hits[name].mean() for name in ("zoo/sinusoidal", "zoo/rotary")]
    return Claim(
        "direction",
        "Where order is all that counts, positions are needed",
        "forwards or backwards: without positions, a Transformer is right in exactly half of the "
        "cases, and with some kind of position in more than 60 %",
        bool(hits["zoo/transformer"].mean() == 0.5 and max(able) > 60),
        ("recipe, trained to say whether it is forwards", "accuracy, % (chance: 50)"),
        tuple(rows),
    )
