"""From finished runs to pseudo-labels of the test set, fold by fold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_hw4.artifact import provenance, sha256_json
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.progress import Bar, no_bar
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.stages.versions import runs_of
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.corpus import Corpus
    from kaggle_hw4.ensemble.combine import AnyScores
    from kaggle_hw4.ensemble.members import Member
    from kaggle_hw4.run_manifest import Manifest
    from kaggle_hw4.runs import Run
    from kaggle_hw4.settings import Values
    from kaggle_hw4.targets.pseudo_labels import LabellingMember, PseudoLabelTable


@dataclass(frozen=True)
class LabelRequest:
    """Which utterances are labelled. `most` None: the test set's utterances over its speakers."""

    confidence: float = 0.9
    most: int | None = None
    split: str | None = None


@dataclass(frozen=True)
class Labelled:
    """The pseudo-labels of a fold, and their file."""

    path: Path
    table: "PseudoLabelTable"


def pseudo_label(
    workspace: Workspace, paths: Iterable[Path], request: LabelRequest, bar: Bar = no_bar
) -> list[Labelled]:
    """Label test utterances by the runs of each fold that all members have; `paths` are folders of
    runs, or versions of submissions.

    The runs of other folds were trained on what a fold validates on: their labels would carry some
    of that into it. Raises UsageError where there are fewer than two members, or the round before
    was no better than its teachers.
    """
    from kaggle_hw4.ensemble.members import check_one_corpus
    from kaggle_hw4.runs import find_runs, finished
    from kaggle_hw4.stages.ensemble import check_corpus, on_split
    from kaggle_hw4.targets.pseudo_labels import path_of as labels_path

    if not 0 < request.confidence <= 1:
        what = f"a probability is no {request.confidence}"
        raise UsageError(what, "give one above 0 and up to 1", parameter="confidence")
    runs = on_split(finished(find_runs(runs_of(workspace, paths))), request.split)
    check_one_corpus({run: run.manifest() for run in runs})
    corpus = corpus_of(workspace, bar)
    check_corpus(corpus, runs)
    folds = common_folds(runs)
    likely = -(-len(corpus.test) // len(corpus.speakers))
    request = replace(request, most=request.most or likely)
    covered = [runs[0].manifest().folds.hash, request.confidence, request.most]
    name = sha256_json([corpus.hash, *member_names(runs), *covered])[:16]
    own = {fold: [run for run in runs if run.fold == fold] for fold in folds}
    path_of = partial(labels_path, workspace.pseudo_labels, name)
    return [_label_fold(path_of(fold), own[fold], corpus, request, bar) for fold in folds]


def member_names(runs: Iterable["Run"]) -> list[str]:
    """The variants and seeds of runs, each once."""
    return sorted({f"{run.folder.parent.name}-seed{run.seed}" for run in runs})


def common_folds(runs: Sequence["Run"]) -> list[int]:
    """The folds that every member has been trained on; UsageError where there is none, or a single
    member, which nobody can agree with.
    """
    names = member_names(runs)
    if len(names) < 2:
        raise UsageError(f"{names[0]} is alone: nobody agrees with it", "name several members")
    trained = [
        {run.fold for run in runs if f"{run.folder.parent.name}-seed{run.seed}" == name}
        for name in names
    ]
    folds = sorted(set.intersection(*trained))
    if not folds:
        raise UsageError("there is no fold that all members were trained on", "train one")
    return folds


def _label_fold(
    path: Path,
    runs: Sequence["Run"],
    corpus: "Corpus",
    request: LabelRequest,
    bar: Bar,
) -> Labelled:
    """The pseudo-labels of one fold by its runs, unless they exist."""
    from kaggle_hw4.ensemble.blend import correct_out_of_fold, stack_members
    from kaggle_hw4.ensemble.members import find_members
    from kaggle_hw4.stages.ensemble import labels_of
    from kaggle_hw4.targets import pseudo_labels

    # How good the members are on what the fold holds out, and whether they may label at all.
    members = find_members(runs, bar)
    stack = stack_members(members, labels_of(corpus), bar)
    validation = stack.accuracy(correct_out_of_fold(stack, "uniform")["uniform"]).accuracy
    manifests = [run.manifest() for run in runs]
    number = next_round(manifests, validation)
    described = _described(members, stack.temperatures)
    if path.is_file():
        table = pseudo_labels.read_pseudo_labels(path)
        if table.members != described:
            what = f"{path} was made from other logits of these runs"
            raise DataError(what, pseudo_labels.REMEDY)
        return Labelled(path, table)

    # The utterances that they agree on and are sure of.
    table = pseudo_labels.PseudoLabelTable(
        corpus=corpus.hash,
        folds=manifests[0].folds,
        fold=manifests[0].fold,
        members=described,
        confidence=request.confidence,
        most=request.most or 0,
        round=number,
        validation=validation,
        made_by=provenance(),
        **_chosen(members, stack.temperatures, request, corpus.speakers),
    )
    return Labelled(path, pseudo_labels.write_pseudo_labels(path, table))


def _chosen(
    members: Sequence["Member"],
    temperatures: Sequence[float],
    request: LabelRequest,
    speakers: Sequence[str],
) -> "Values":
    """The fields of a table that say who is in it, and how many were left out."""
    from kaggle_hw4.ensemble.pseudo_labels import choose_pseudo_labels

    scores, ids = _test_scores(members, temperatures), members[0].test_ids
    chosen = choose_pseudo_labels(scores, request.confidence, request.most or len(ids))
    pairs = zip(chosen.places.tolist(), chosen.labels.tolist(), strict=True)
    return {
        "utterances": len(ids),
        "agreed": chosen.agreed,
        "confident": chosen.confident,
        "labels": {ids[place]: speakers[label] for place, label in pairs},
    }


def next_round(manifests: Iterable["Manifest"], validation: float) -> int:
    """The round of labels that runs with this accuracy on held-out sessions may make.

    UsageError where some of them were trained on pseudo-labels themselves, and are no better than
    the ensemble that made these: another round would confirm its mistakes.
    """
    learned = [manifest.learned_from for manifest in manifests]
    before = [each.pseudo_labels for each in learned if each and each.pseudo_labels]
    for record in before:
        if validation <= record.validation:
            raise UsageError(
                f"round {record.round} of pseudo-labels did not help: accuracy {validation:.5f} on "
                f"held-out sessions, {record.validation:.5f} of its teachers",
                "label with runs that were trained without them",
            )
    return 1 + max((record.round for record in before), default=0)


def _described(
    members: Sequence["Member"], temperatures: Sequence[float]
) -> tuple["LabellingMember", ...]:
    from kaggle_hw4.targets.pseudo_labels import LabellingMember

    return tuple(
        LabellingMember(name=member.name, temperature=temperature, sha256=sha256)
        for member, temperature in zip(members, temperatures, strict=True)
        for file, sha256 in member.inputs.items()
        if file.endswith("test.safetensors")
    )


def _test_scores(members: Sequence["Member"], temperatures: Sequence[float]) -> "AnyScores":
    """The calibrated log-probabilities (M, N, C) of the test utterances, by the one fold's runs."""
    from kaggle_hw4.ensemble.combine import stacked
    from kaggle_hw4.logits import log_softmax

    pairs = zip(members, temperatures, strict=True)
    return stacked([log_softmax(logits, t) for member, t in pairs for logits in member.test()])
