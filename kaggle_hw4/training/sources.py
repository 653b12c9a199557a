"""What a run learns from beside its labelled rows: found before it is trained."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kaggle_hw4.data.batches import Batches, SoftTargets
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore, IntArray
from kaggle_hw4.logits import AnyLogits, LowRankLogits, tensors_of
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.run_manifest import LearnedFrom, PretrainedEncoders, PseudoLabels, TeacherLogits
from kaggle_hw4.runs import Run


@dataclass(frozen=True)
class Pretrained:
    """The file of a pretraining's encoders, and what a manifest says of it."""

    path: Path
    record: PretrainedEncoders


@dataclass(frozen=True, eq=False)
class PseudoLabelled:
    """Test rows (n,) of the corpus with labels (n,) that an ensemble gave them."""

    rows: IntArray
    labels: IntArray
    record: PseudoLabels


@dataclass(frozen=True, eq=False)
class Teacher:
    """An ensemble's plain logits (n, C) of rows (n,) of the corpus."""

    rows: IntArray
    logits: AnyLogits
    record: TeacherLogits


@dataclass(frozen=True)
class Sources:
    """All of it, as the optional sections of the recipe say."""

    encoders: Pretrained | None = None
    pseudo_labels: PseudoLabelled | None = None
    teacher: Teacher | None = None

    def record(self) -> LearnedFrom | None:
        """What the manifest says of it; None where it is nothing."""
        parts = (self.encoders, self.pseudo_labels, self.teacher)
        encoders, pseudo_labels, teacher = (part and part.record for part in parts)
        if encoders is pseudo_labels is teacher is None:
            return None
        return LearnedFrom(encoders=encoders, pseudo_labels=pseudo_labels, teacher=teacher)


NOTHING = Sources()


def make_batches(
    store: FrameStore, folds: Folds, recipe: Recipe, run: Run, sources: Sources
) -> Batches:
    """The batches of a run: of the rows that its fold trains on, and of test rows where there are
    pseudo-labels, or a teacher's soft targets, for them.
    """
    corpus, rows, sessions = store.corpus, folds.training(run.fold), folds.session
    labels, soft = corpus.labels, None
    if sources.pseudo_labels:
        labels = labels.copy()
        labels[sources.pseudo_labels.rows] = sources.pseudo_labels.labels
        rows = np.concatenate([rows, sources.pseudo_labels.rows])
    if sources.teacher:
        teacher, distillation = sources.teacher, recipe.distillation
        assert distillation is not None
        about = teacher.rows, teacher.logits, distillation.temperature
        soft = soft_targets(*about, len(labels), store.device)
        rows = np.union1d(rows, sources.teacher.rows)
    if len(rows) > len(folds.training(run.fold)):
        # Nobody knows their sessions: those of a speaker count as one, which is no training row's.
        sessions = np.concatenate([sessions, sessions.max() + 2 + labels[corpus.test]])
    return Batches(store, rows, sessions, recipe, run.seed, labels, soft)


def soft_targets(
    rows: IntArray,
    logits: AnyLogits,
    temperature: float,
    count: int,
    device: torch.device | None = None,
) -> SoftTargets:
    """A teacher's probabilities (count, C), by its logits (n, C) of the rows (n,) of a corpus of
    `count`; 0 in other rows. Those of logits with low rank are computed for the rows of a batch.
    """
    known = torch.from_numpy(rows)
    if isinstance(logits, LowRankLogits):
        place = torch.full((count,), -1)
        place[known] = torch.arange(len(known))
        return LowRankTargets.of(logits, place, temperature, device)
    table = torch.zeros(count, logits.shape[1])
    table[known] = (torch.from_numpy(logits) / temperature).softmax(1)
    return table.to(device)


@dataclass(frozen=True, eq=False)
class LowRankTargets:
    """The same from factors (n, R) of the teacher's rows and vectors (C, R) of the speakers;
    `place` (count,) is where a row of the corpus is among the teacher's, -1 where it is not.
    """

    factors: Tensor
    vectors: Tensor
    place: Tensor

    @classmethod
    def of(
        cls, logits: LowRankLogits, place: Tensor, temperature: float, device: torch.device | None
    ) -> "LowRankTargets":
        """Those of logits of one part, whose offsets no softmax sees."""
        tensors = {name: torch.from_numpy(each) for name, each in tensors_of(logits).items()}
        factors = tensors["factors"] / temperature
        return cls(factors.to(device), tensors["vectors"].to(device), place.to(device))

    def __getitem__(self, rows: Tensor) -> Tensor:
        place = self.place[rows]
        logits = self.factors[place] @ self.vectors.T
        return logits.softmax(1) * (place >= 0)[:, None]
