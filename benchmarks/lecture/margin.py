"""Chapter 12: what a margin does to the gaps between speakers, and to accuracy in noise."""

import numpy as np
import torch
from torch import Tensor

from benchmarks.lecture.claims import Claim, accuracy, difference, mean_and_spread
from benchmarks.lecture.conformer import train_conformer
from benchmarks.lecture.lab import Change, Lab
from benchmarks.lecture.pictures import Labels
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.report.plots import histogram

MARGINS = (0.0, 0.1, 0.2, 0.35)
SCALE = 30.0
SNRS = (20, 10, 5, 0)  # dB
NAT = np.log(10) / 10  # of a dB


def train_margin(lab: Lab, margin: float) -> list[SpeakerClassifier]:
    return train_conformer(
        lab, head="cosine", loss__margin=margin, loss__scale=SCALE, loss__label_smoothing=0.0
    )


def noisy(snr: float) -> Change:
    """Adds stationary white noise in energy, at `snr` dB below the utterance's mean energy."""

    def change(x: Tensor, random: np.random.Generator) -> Tensor:
        level = x.exp().mean().log() - NAT * snr
        jitter = torch.from_numpy(random.normal(0, 0.5, tuple(x.shape))).float()
        return torch.logaddexp(x, level + jitter)

    return change


def gaps(cosines: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The cosine with the true speaker less that with the nearest other one: (N,)."""
    rows = np.arange(len(labels))
    others = cosines.copy()
    others[rows, labels] = -np.inf
    return cosines[rows, labels] - others.max(1)


def margin(lab: Lab) -> tuple[Claim, str]:
    """Gaps between the true speaker and the nearest other, on seen and on unseen sessions."""
    rows, medians, samples = [], {}, {}
    for m in MARGINS:
        models = train_margin(lab, m)
        unseen = [gaps(lab.logits(model) / SCALE, lab.speakers) for model in models]
        seen = [
            training_gaps(lab, model, seed) for model, seed in zip(models, lab.seeds, strict=True)
        ]
        medians[m] = [
            (float(np.median(a)), float(np.median(b))) for a, b in zip(seen, unseen, strict=True)
        ]
        samples[m] = np.concatenate(unseen)
        cells = [mean_and_spread([float(np.median(g)) for g in each]) for each in (seen, unseen)]
        safe = [100 * float((g > 0.2).mean()) for g in unseen]
        rows.append((f"{m:g}", *cells, mean_and_spread(safe, 1), accuracy(lab.hits(models))))
    edges = np.linspace(-1, 1, 33)
    shares = {
        f"margin {m:g}": np.histogram(samples[m], edges)[0] / len(samples[m]) for m in (0.0, 0.2)
    }
    labels = Labels("margin", "Gap to the nearest other", "", "cosine, true less nearest other",
                    "share of utterances")  # fmt: skip
    return Claim(
        "margin",
        "The true class must win by a margin: gaps between classes widen",
        "the median gap is wider with a margin of 0.2 than without, from every seed, both on "
        "utterances that were trained on and in unseen sessions",
        all(wide > bare for pair in zip(medians[0.2], medians[0.0], strict=True)
            for wide, bare in zip(*pair, strict=True)),
        ("margin", "median gap, trained on", "median gap, unseen sessions", "gap above 0.2, %",
         "accuracy, %"),
        tuple(rows),
        "margin",
        "Cosine with the true speaker less that with the nearest other one, on test utterances of "
        "unseen sessions.",
    ), histogram(labels, shares, edges)  # fmt: skip


def training_gaps(lab: Lab, model: SpeakerClassifier, seed: int, count: int = 300) -> np.ndarray:
    """Gaps of some utterances that the model was trained on."""
    rows = lab.folds.training(seed % lab.folds.count)
    rows = np.random.default_rng(seed).choice(rows, min(count, len(rows)), replace=False)
    with torch.inference_mode():
        logits = [model.head(model.embed(lab.frames(int(row))[None], None)) for row in rows]
    return gaps(torch.cat(logits).numpy() / SCALE, lab.corpus.labels[rows])


def robust(lab: Lab) -> Claim:
    """Accuracy with and without a margin as noise is added to the test utterances."""
    models = {m: train_margin(lab, m) for m in (0.0, 0.2)}
    hits = {m: [lab.hits(each)] + [lab.hits(each, before=noisy(s)) for s in SNRS]
            for m, each in models.items()}  # fmt: skip
    gains = [difference(b, a, lab.speakers) for a, b in zip(hits[0.0], hits[0.2], strict=True)]
    flipped = {
        m: [100 * float((each[0] & ~other).sum() / each[0].sum()) for other in each[1:]]
        for m, each in hits.items()
    }
    names = ["no noise", *(f"{snr} dB" for snr in SNRS)]
    rows = [
        (f"accuracy, margin {m:g}, %", *(accuracy(h) for h in each)) for m, each in hits.items()
    ]
    rows.append(("margin 0.2 less margin 0, points", *(str(gain) for gain in gains)))
    rows += [
        (f"recognised without noise, lost in it, margin {m:g}, %", "–", *(f"{v:.1f}" for v in each))
        for m, each in flipped.items()
    ]
    return Claim(
        "robust",
        "With a margin, a little noise in the test no longer flips the answer",
        "of the utterances that are recognised without noise, at 20 dB at most half as many are "
        "lost with a margin of 0.2 as without",
        flipped[0.2][0] <= 0.5 * flipped[0.0][0],
        ("signal-to-noise ratio", *names),
        tuple(rows),
    )
