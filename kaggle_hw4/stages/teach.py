"""From finished runs to a teacher: their logits of the rows that a student trains on."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_hw4.artifact import provenance
from kaggle_hw4.errors import UsageError
from kaggle_hw4.progress import Bar, no_bar
from kaggle_hw4.stages.pseudo_label import member_names
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.folds import Folds
    from kaggle_hw4.data.segments import FrameStore
    from kaggle_hw4.execution.spec import Asked
    from kaggle_hw4.logits import AnyLogits
    from kaggle_hw4.runs import Run


def teacher_of(paths: Iterable[Path], split: str | None) -> str:
    """The name of the teacher whose members are the runs below `paths`."""
    from kaggle_hw4.ensemble.members import check_one_corpus
    from kaggle_hw4.targets.teacher import teacher_hash

    runs = _runs(paths, split)
    check_one_corpus({run: run.manifest() for run in runs})
    manifest = runs[0].manifest()
    return teacher_hash(manifest.corpus, manifest.folds.hash, member_names(runs))


def source_settings(
    pseudo_labels: str | None, teachers: Sequence[Path], split: str | None
) -> list[str]:
    """The settings of a recipe that learns from pseudo-labels, by their name or folder, and from
    the runs below `teachers`.
    """
    settings = []
    if pseudo_labels is not None:
        settings.append(f'pseudo_labels.labels="{Path(pseudo_labels).name}"')
    if teachers:
        settings.append(f'distillation.teacher="{teacher_of(teachers, split)}"')
    return settings


def make_teacher(asked: "Asked", paths: Sequence[Path], bar: Bar = no_bar) -> None:
    """Write what the runs below `paths` teach on each fold that is asked for."""
    from kaggle_hw4.recipe import read_recipe

    spec = asked.spec
    workspace = Workspace(Path(spec.workspace))
    distillation = read_recipe(workspace.variant(spec.variant), spec.settings).distillation
    transductive = distillation is not None and distillation.transductive
    teach(workspace, paths, spec.split, asked.folds, transductive, spec.device, spec.precision, bar)


def teach(
    workspace: Workspace,
    paths: Iterable[Path],
    split: str | None,
    chosen: Sequence[int] | None,
    transductive: bool,
    device: str = "auto",
    precision: str = "auto",
    bar: Bar = no_bar,
) -> None:
    """Write the logits of the rows that each of the `chosen` folds trains on, where they are
    missing; with `transductive`, those of the test set as well.

    A fold's teachers are the runs of that fold: they were trained on these rows, and their logits
    are surer than they should be, but what the fold validates on is unseen by both. UsageError
    where a member has not been trained on a fold.
    """
    from kaggle_hw4.data.folds import find_folds
    from kaggle_hw4.data.segments import FrameStore
    from kaggle_hw4.device import choose_device
    from kaggle_hw4.precision import choose_precision
    from kaggle_hw4.stages.ensemble import check_corpus
    from kaggle_hw4.targets.teacher import path_of

    paths = list(paths)
    runs, name = _runs(paths, split), teacher_of(paths, split)
    corpus = corpus_of(workspace, bar)
    check_corpus(corpus, runs)
    folds = find_folds(workspace.folds, corpus, runs[0].manifest().folds.name)
    where = choose_device(device)
    store, chosen_precision = FrameStore(corpus, where), choose_precision(precision, where)
    for fold in range(folds.count) if chosen is None else chosen:
        own = _of_fold(runs, fold)
        path = path_of(workspace.teachers, name, fold, transductive)
        if not path.is_file():
            _write(path, own, folds, store, transductive, chosen_precision, bar)


def _runs(paths: Iterable[Path], split: str | None) -> list["Run"]:
    from kaggle_hw4.runs import find_runs, finished
    from kaggle_hw4.stages.ensemble import on_split

    return on_split(finished(find_runs(paths)), split)


def _of_fold(runs: Sequence["Run"], fold: int) -> list["Run"]:
    """The runs of a fold, one of every member."""
    own = [run for run in runs if run.fold == fold]
    missing = sorted(set(member_names(runs)) - set(member_names(own)))
    if missing:
        what = f"{missing[0]} has not been trained on fold {fold}"
        raise UsageError(what, "a teacher's runs are of the student's fold", parameter="teacher")
    return own


def _write(
    path: Path,
    runs: Sequence["Run"],
    folds: "Folds",
    store: "FrameStore",
    transductive: bool,
    precision: str,
    bar: Bar,
) -> None:
    """The mean of the runs' plain logits of whole utterances."""
    from kaggle_hw4.execution.sources import taught_rows
    from kaggle_hw4.inference.embed import WHOLE
    from kaggle_hw4.inference.logits import Task
    from kaggle_hw4.inference.predict import predict_logits
    from kaggle_hw4.targets.teacher import TeacherHeader, write_teacher

    corpus, manifests = store.corpus, [run.manifest() for run in runs]
    rows = taught_rows(corpus, folds, runs[0].fold, transductive)

    def logits_of(run: "Run") -> "AnyLogits":
        task = Task(run, folds, run.recipe().predict)
        task.check(corpus)
        model = task.load_model(corpus, precision).to(store.device)
        return predict_logits(model, store, rows, WHOLE, bar=bar)

    mean = mean_of(map(logits_of, runs), (len(rows), len(corpus.speakers)))
    learned = [manifest.learned_from for manifest in manifests]
    weights = [f"{run.recipe().predict.weights}.safetensors" for run in runs]
    header = TeacherHeader(
        corpus=corpus.hash,
        folds=manifests[0].folds,
        fold=runs[0].fold,
        members=tuple(member_names(runs)),
        weights=tuple(m.sha256[name] for m, name in zip(manifests, weights, strict=True)),
        transductive=transductive or any(each and each.transductive for each in learned),
        made_by=provenance(),
    )
    write_teacher(path, header, [corpus.ids[row] for row in rows], mean)


def mean_of(members: Iterable["AnyLogits"], shape: tuple[int, int]) -> "AnyLogits":
    """The mean (n, C) of members' logits: with low rank where that of all of them together is
    smaller than the matrix, of which there is one otherwise.
    """
    import numpy as np

    from kaggle_hw4.logits import LowRankLogits, dense, mean

    low: list[LowRankLogits] = []
    total, count = None, 0
    for member in members:
        count += 1
        if isinstance(member, LowRankLogits):
            low.append(member)
            continue
        total = np.zeros(shape, np.float32) if total is None else total
        total += member
    rank = sum(len(part.factors.T) for each in low for part in each.parts)
    if total is None and sum(shape) * rank < shape[0] * shape[1]:
        return mean(low)
    total = np.zeros(shape, np.float32) if total is None else total
    for each in low:
        total += dense(each)
    return (total / count).astype(np.float32)
