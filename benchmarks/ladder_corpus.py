"""A corpus of the ladder, with what only the evaluation may use: test labels, true sessions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from averaging import test_labels
from sklearn.metrics import adjusted_rand_score

from kaggle_hw4.data.corpus import Corpus, open_corpus
from kaggle_hw4.data.folds import Folds, find_folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.workspace import Workspace

SPLIT = "session6"


@dataclass(frozen=True)
class LadderCorpus:
    """A packed and split corpus in a workspace, with the labels of its test set."""

    name: str
    place: Workspace
    corpus: Corpus
    folds: Folds
    store: FrameStore
    speaker: np.ndarray  # (N,) labels of the test utterances
    agreement: float  # of the guessed sessions with the true ones
    steps: int

    @classmethod
    def open(cls, name: str, workspace: str, truth: str, steps: str, device: str) -> "LadderCorpus":
        place = Workspace.at(Path(workspace))
        corpus = open_corpus(place.corpus)
        folds = find_folds(place.folds, corpus, SPLIT)
        store = FrameStore(corpus, torch.device(device))
        speaker = test_labels(corpus, Path(truth))
        agreed = agreement(corpus, folds, Path(truth).with_name("sessions.csv"))
        return cls(name, place, corpus, folds, store, speaker, agreed, int(steps))

    def heading(self) -> str:
        corpus = self.corpus
        return (
            f"## {self.name}\n\n{len(corpus.speakers)} speakers, {len(corpus.train):,} training "
            f"and {len(corpus.test):,} test utterances. Guessed against true sessions: adjusted "
            f"Rand index {self.agreement:.2f}, the mean over speakers.\n"
        )


def agreement(corpus: Corpus, folds: Folds, sessions: Path) -> float:
    """The adjusted Rand index of guessed and true sessions, the mean over speakers."""
    table = pd.read_csv(sessions, dtype=str).set_index("Id")["Session"]
    true, labels = table[[corpus.ids[row] for row in corpus.train]].to_numpy(), corpus.labels
    speakers = [np.flatnonzero(labels[corpus.train] == s) for s in range(len(corpus.speakers))]
    return float(np.mean([adjusted_rand_score(true[s], folds.session[s]) for s in speakers]))
