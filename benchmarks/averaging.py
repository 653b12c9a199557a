"""The gain of averaging over crops at test time: finished runs predict under several plans.

    python benchmarks/averaging.py WORKSPACE TRUTH RUN [RUN …]

Each plan is compared with one pass over the whole utterance, out of fold and on the unseen sessions
of TRUTH (which serves for nothing else); intervals by a bootstrap over speakers. Nothing is written
to the runs.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from kaggle_hw4.data.corpus import Corpus, open_corpus
from kaggle_hw4.data.folds import find_folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.inference.embed import WHOLE
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.inference.weights import read_weights
from kaggle_hw4.kaggle.submissions import read_submission
from kaggle_hw4.metrics import paired
from kaggle_hw4.models.build import build_model
from kaggle_hw4.recipe import PredictionConfig
from kaggle_hw4.runs import Run

AVERAGES = ("logits", "probabilities", "embeddings")
LENGTHS = ([100], [200], [100, 200], [200, 10**6])  # the last: the whole utterance beside them
PLANS = [WHOLE] + [
    PredictionConfig(
        weights="ema", segments=3, frames=frames, average=average, spreading_neighbours=0
    )
    for frames in LENGTHS
    for average in AVERAGES
]


def main(workspace: Path, truth: Path, runs: list[Path]) -> None:
    corpus = open_corpus(workspace / "packed")
    labels = test_labels(corpus, truth)
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    for run in map(Run, runs):
        manifest = run.manifest()
        folds = find_folds(workspace / "folds", corpus, manifest.folds.name)
        model = build_model(run.recipe(), len(corpus.speakers), corpus.n_mels)
        read_weights(run.folder / "ema.safetensors", model)
        store, out = FrameStore(corpus, torch.device("cpu")), folds.validation(manifest.fold)
        for name, rows, y in (
            ("out of fold", out, corpus.labels[out]),
            ("unseen", corpus.test, labels),
        ):
            for plan in PLANS:
                right = predict_logits(model, store, rows, plan).argmax(1) == y
                parts[f"{name}: {describe(plan)}"].append((right, y))
    for name, predictions in parts.items():
        right, y = (np.concatenate(part) for part in zip(*predictions, strict=True))
        whole = np.concatenate([r for r, _ in parts[f"{name.split(':')[0]}: whole"]])
        gain = paired(right, whole, y)
        interval = f"{100 * gain.low:+.2f} to {100 * gain.high:+.2f}"
        print(f"{name:<44} {right.mean():.4f} {100 * gain.difference:+.2f} ({interval})")


def describe(plan: PredictionConfig) -> str:
    return "whole" if plan.segments == 0 else f"{plan.segments} x {plan.frames}, {plan.average}"


def test_labels(corpus: Corpus, truth: Path) -> np.ndarray:
    """The labels (N,) of the test utterances, by the file of answers."""
    named = dict(read_submission(truth))
    return np.array([corpus.speakers.index(named[corpus.ids[row]]) for row in corpus.test])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
