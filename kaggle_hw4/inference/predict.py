"""Logits of whole utterances: averaged over segments, in masked batches sorted by length."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from kaggle_hw4.data.segments import FrameStore, IntArray, Segments
from kaggle_hw4.inference.precision import autocast, enough_memory
from kaggle_hw4.models import SpeakerClassifier
from kaggle_hw4.recipe import Predict

WHOLE = Predict(weights="averaged", segments=0, frames=1)
BATCH_FRAMES = 16384  # frames in a batch, padding included
BATCH_SCORES = 2**25  # attention scores in a batch and head: what the longest utterances cost


@torch.inference_mode()
def predict_logits(
    model: SpeakerClassifier, store: FrameStore, rows: IntArray, plan: Predict
) -> npt.NDArray[np.float32]:
    """Plain logits (len(rows), C), in the order of `rows`, averaged over each one's segments."""
    was_training = model.training
    model.eval()
    where, cuts = plan_segments(store.packed.lengths[rows], plan)
    total: npt.NDArray[np.float32] | None = None
    for chosen in batches(cuts[:, 1]):
        starts, lengths = cuts[chosen].T
        features, mask = store.gather(Segments(rows[where[chosen]], starts, lengths))
        with enough_memory("a prediction", "use --device cpu"), autocast(store.device):
            logits = model(features, mask).float().cpu().numpy()
        if total is None:
            total = np.zeros((len(rows), logits.shape[1]), np.float32)
        np.add.at(total, where[chosen], logits)
    model.train(was_training)
    assert total is not None, "there is at least one utterance to predict"
    total /= np.bincount(where, minlength=len(rows))[:, None]
    return total


def plan_segments(lengths: IntArray, plan: Predict) -> tuple[IntArray, IntArray]:
    """Which segments to predict: the index (S,) of each one's utterance, (start, length) (S, 2).

    `plan.segments` of `plan.frames` frames, evenly spaced from the first frame to the last; an
    utterance that is no longer than one of them, or a plan of none, takes the whole at once.
    """
    if plan.segments == 0:
        return np.arange(len(lengths)), np.stack([np.zeros_like(lengths), lengths], 1)
    spare = np.maximum(lengths - plan.frames, 0)
    counts = np.where(spare > 0, plan.segments, 1)
    where = np.repeat(np.arange(len(lengths)), counts)
    number = np.arange(len(where)) - np.repeat(np.cumsum(counts) - counts, counts)
    # A lone segment stands in the middle.
    share = (number / (plan.segments - 1)) if plan.segments > 1 else np.full(len(where), 0.5)
    starts = np.rint(spare[where] * share).astype(np.int64)
    return where, np.stack([starts, np.minimum(lengths, plan.frames)[where]], 1)


def batches(lengths: IntArray) -> Iterator[IntArray]:
    """Indices of segments in batches of like length, longest first, each within the budget."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        size = max(1, min(BATCH_FRAMES // longest, BATCH_SCORES // longest**2))
        yield order[start : start + size]
        start += size
