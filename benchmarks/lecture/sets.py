"""Chapters 1 and 2: padding with a mask, and frames without their neighbours."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from benchmarks.lecture.claims import Claim, accuracy, difference, small
from benchmarks.lecture.lab import Lab
from benchmarks.lecture.pictures import Labels
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.report.plots import Series, lines

PADDED = ("zoo/transformer", "zoo/bilstm", "zoo/gat", "strong")
SAMPLE_PADDING = -20.0  # what the competition's sample code pads with
CONTEXTS = (1, 3, 7, 15, 31)
WHOLE = ("zoo/transformer", "zoo/bilstm", "strong")


def padding(lab: Lab) -> Claim:
    """Every test utterance among longer ones, whatever the padding holds; alone; without a mask."""
    rows, largest = [], 0.0
    for name in PADDED:
        model = lab.train(name)[0]
        alone = logits_alone(model, lab.test)
        masked, other, unmasked = (
            padded_logits(model, lab.test, value, with_mask)
            for value, with_mask in ((SAMPLE_PADDING, True), (1e3, True), (SAMPLE_PADDING, False))
        )
        by_value, by_batch, by_mask = (
            (first - second).abs().amax(1)
            for first, second in ((masked, other), (masked, alone), (unmasked, alone))
        )
        largest = max(largest, float(by_value.max()))
        flipped = float((unmasked.argmax(1) != alone.argmax(1)).float().mean())
        cells = (float(by_value.max()), float(by_batch.median()), float(by_batch.max()))
        rows.append((
            f"`{name}`", *(small(cell) for cell in cells), small(float(by_mask.max())),
            f"{100 * flipped:.1f} %",
        ))  # fmt: skip
    return Claim(
        "padding",
        "With a mask, the padding's values are irrelevant; without one, they are not",
        "with a mask, the logits are the same whether the padding holds -20 or 1,000, to the bit",
        largest == 0,
        ("encoder", "-20 or 1,000 in the padding, with mask", "padded or alone, with mask: median",
         "largest", "padded or alone, without mask: largest", "other speaker without mask"),
        tuple(rows),
    )  # fmt: skip


@torch.inference_mode()
def logits_alone(model: SpeakerClassifier, utterances: list[Tensor]) -> Tensor:
    return torch.cat([model.head(model.embed(x[None], None)) for x in utterances])


@torch.inference_mode()
def padded_logits(
    model: SpeakerClassifier, utterances: list[Tensor], value: float, with_mask: bool
) -> Tensor:
    """Logits of the utterances in batches of unequal lengths, padded with a value."""
    logits = []
    for k in range(0, len(utterances), 16):
        batch = utterances[k : k + 16]
        x = pad_sequence(batch, batch_first=True, padding_value=value)
        mask = torch.arange(x.shape[1]) < torch.tensor([len(each) for each in batch])[:, None]
        logits.append(model.head(model.embed(x, mask if with_mask else None)))
    return torch.cat(logits)


def context(lab: Lab) -> tuple[Claim, str]:
    """Accuracy of fully connected layers by their window, and of encoders that see all."""
    windows = {n: lab.hits(lab.train("zoo/mlp", context=n)) for n in CONTEXTS}
    whole = {name: lab.hits(lab.train(name)) for name in WHOLE}
    first, best = windows[1], max(windows.values(), key=np.mean)
    gain = difference(best, first, lab.speakers)
    rows = [(f"`zoo/mlp`, {n} frames", accuracy(hits)) for n, hits in windows.items()]
    rows += [(f"`{name}`, all frames", accuracy(hits)) for name, hits in whole.items()]
    rows.append(("best window less one frame", str(gain)))
    means = np.array([100 * hits.mean() for hits in windows.values()])
    deviations = np.array([100 * hits.mean(1).std(ddof=1) for hits in windows.values()])
    svg = lines(
        Labels("context", "Accuracy by window", "", "frames in the window", "unseen sessions, %"),
        [Series("mlp", CONTEXTS, means, means - deviations, means + deviations)],
        {name: 100 * float(hits.mean()) for name, hits in whole.items()},
    )
    return Claim(
        "context",
        "A fully connected layer on single frames lacks context; a window helps",
        "the best window is above one frame by more than two standard errors",
        gain.is_gain,
        ("encoder", "accuracy in unseen sessions, %"),
        tuple(rows),
        "context",
        "Accuracy of `zoo/mlp` by the width of its window; the lines are encoders that see all "
        "frames. Band: one standard deviation over seeds.",
    ), svg


def window_is_not_enough(lab: Lab) -> Claim:
    """The best window against what sees the whole utterance."""
    windows = [lab.hits(lab.train("zoo/mlp", context=n)) for n in CONTEXTS]
    best = max(windows, key=np.mean)
    gains = {name: difference(lab.hits(lab.train(name)), best, lab.speakers) for name in WHOLE}
    return Claim(
        "window",
        "A window never holds enough",
        "every encoder that sees the whole utterance is above the best window by more than two "
        "standard errors",
        all(gain.is_gain for gain in gains.values()),
        ("encoder", "points above the best window"),
        tuple((f"`{name}`", str(gain)) for name, gain in gains.items()),
    )
