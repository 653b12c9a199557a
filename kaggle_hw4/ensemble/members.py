"""Members of an ensemble: one variant trained from one seed, with all of its folds."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from kaggle_hw4.competition import LADDER
from kaggle_hw4.errors import DataError
from kaggle_hw4.logits import AnyLogits, concatenate
from kaggle_hw4.progress import Bar, counted, no_bar
from kaggle_hw4.run_manifest import LearnedFrom, Manifest
from kaggle_hw4.runs import Run

LogitsFile = Literal["oof", "seen_session", "test"]


@dataclass(frozen=True)
class Member:
    """The runs of one variant and seed, one for each of its `folds`.

    Logits are read when they are asked for, and not kept: those of many members do not fit in
    memory together.
    """

    name: str
    variant: str
    recipe: str  # hash
    seed: int
    folds: tuple[int, ...]
    by: str  # what the folds hold out: session or utterance
    ids: tuple[str, ...]  # n utterances, predicted out of fold
    fold: npt.NDArray[np.int64]  # (n,) the fold that holds out each of `ids`
    seen_session_ids: tuple[tuple[str, ...], ...]  # for each of `folds`; () if by utterance
    test_ids: tuple[str, ...]  # N utterances
    inputs: Mapping[str, str]  # file of logits → sha256
    read: Callable[[LogitsFile, int], AnyLogits]  # of the k-th of `folds`
    learned_from: LearnedFrom | None = None  # beside its labelled rows; of the first fold

    def oof(self) -> AnyLogits:
        """Plain logits (n, C) of `ids`, each predicted by the model whose fold holds it out."""
        return concatenate([self.read("oof", k) for k in range(len(self.folds))])

    def test(self) -> Iterable[AnyLogits]:
        """Plain logits (N, C) of `test_ids`, one fold's model after the other."""
        return (self.read("test", k) for k in range(len(self.folds)))


def on_seen_sessions(members: Sequence[Member]) -> list[Member]:
    """The same members with seen-session validation in place of their folds by session.

    Its utterances were held out of sessions that the models were trained on, as in a random split
    by utterance. [] where the folds are not by session, or a fold has no such utterances.
    """
    if not all(ids for member in members for ids in member.seen_session_ids):
        return []
    return [_on_seen_sessions(member) for member in members]


def _on_seen_sessions(member: Member) -> Member:
    return dataclasses.replace(
        member,
        by="utterance",
        ids=tuple(name for ids in member.seen_session_ids for name in ids),
        fold=np.repeat(member.folds, [len(ids) for ids in member.seen_session_ids]),
        read=lambda file, k: member.read("seen_session" if file == "oof" else file, k),
    )


def find_members(runs: Iterable[Run], bar: Bar = no_bar) -> list[Member]:
    """Group finished runs into members, from the lowest rung of the ladder up.

    Reads the ids of all logits, not the logits. `bar(name)` makes its progress. DataError: the runs
    come from different corpora or fold tables, predict different test sets, or a member has a fold
    twice.
    """
    manifests = {run: run.manifest() for run in runs}
    check_one_corpus(manifests)
    groups: dict[tuple[str, str, int], list[Run]] = defaultdict(list)
    for run, manifest in manifests.items():
        groups[manifest.variant, run.folder.parent.name, manifest.seed].append(run)
    ordered = sorted(groups.items(), key=lambda item: (_rung(item[0][0]), item[0]))
    return [
        _load(f"{folder}-seed{seed}", group, manifests)
        for (_, folder, seed), group in counted(ordered, bar("members"))
    ]


def usable(members: Sequence[Member]) -> tuple[list[Member], dict[str, str]]:
    """The members that can be evaluated on the same utterances; for the others, by name, why not.

    Members are evaluated on the utterances that all of them have predicted. One with a single fold
    beside others with several would reduce these to that fold.
    """
    most = max(len(member.folds) for member in members)
    incomplete = {
        m.name: f"has fold {m.folds[0]} only, where others have {most}: train its other folds"
        for m in members
        if len(m.folds) == 1 < most
    }
    return [m for m in members if m.name not in incomplete], incomplete


def label_of(members: Iterable[Member]) -> str:
    """The label of a submission: its variants from the lowest rung up, as in Strong+Boss."""
    variants = sorted({m.variant for m in members}, key=lambda v: (_rung(v), v))
    return "+".join(v[:1].upper() + v[1:] for v in variants)


def _rung(variant: str) -> int:
    return LADDER.index(variant) if variant in LADDER else len(LADDER)


def check_one_corpus(manifests: Mapping[Run, Manifest]) -> None:
    """DataError unless all runs come from one corpus and one fold table."""
    corpora, tables = defaultdict(set), defaultdict(set)
    for run, manifest in manifests.items():
        group = run.folder.parent.name
        corpora[manifest.corpus].add(group)
        tables[f"{manifest.folds.name} ({manifest.folds.hash})"].add(group)
    _check_one(corpora, "corpora", "choose the runs of one corpus")
    _check_one(tables, "fold tables", "choose the runs of one fold table")


def _check_one(groups: Mapping[str, set[str]], what: str, remedy: str) -> None:
    if len(groups) > 1:
        listed = "; ".join(f"{k}: {', '.join(sorted(v))}" for k, v in sorted(groups.items()))
        raise DataError(f"these runs come from different {what}: {listed}", remedy)


def _load(name: str, runs: list[Run], manifests: Mapping[Run, Manifest]) -> Member:
    runs = sorted(runs, key=lambda run: manifests[run].fold)
    test_ids = _test_ids(runs)
    oof_ids = [run.read_ids("oof") for run in runs]
    first, folds = manifests[runs[0]], [manifests[run].fold for run in runs]
    fold, count = Counter(folds).most_common(1)[0]
    if count > 1:
        raise DataError(f"{name}: there are {count} runs of fold {fold}", "leave the copies out")
    return Member(
        name=name,
        variant=first.variant,
        recipe=first.recipe,
        seed=first.seed,
        folds=tuple(folds),
        by=first.folds.by,
        ids=tuple(name for ids in oof_ids for name in ids),
        fold=np.repeat(folds, [len(ids) for ids in oof_ids]),
        seen_session_ids=tuple(
            run.read_ids("seen_session") if manifests[run].seen_session else () for run in runs
        ),
        test_ids=test_ids,
        inputs={
            f"{run.name}/{file}": manifests[run].sha256[file]
            for run in runs
            for file in ("oof.safetensors", "test.safetensors")
        },
        read=lambda file, k: runs[k].read_logits(file).values,
        learned_from=first.learned_from,
    )


def _test_ids(runs: Sequence[Run]) -> tuple[str, ...]:
    """The test utterances that all of `runs` predict, in their one order."""
    first = runs[0].read_ids("test")
    for run in runs[1:]:
        if run.read_ids("test") != first:
            raise DataError(f"{run.name}: its test utterances are not those of {runs[0].name}")
    return first
