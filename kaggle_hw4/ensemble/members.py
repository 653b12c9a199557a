"""Members of an ensemble: one variant trained from one seed, with all of its folds."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_hw4.competition import LADDER
from kaggle_hw4.errors import DataError
from kaggle_hw4.runs import Manifest, Run


@dataclass(frozen=True)
class Member:
    """The runs of one variant and seed.

    Its logits are read when they are asked for and not kept: many members fill a memory.
    """

    name: str
    variant: str
    recipe: str  # hash
    seed: int
    folds: tuple[int, ...]
    by: str  # what the folds hold out: session or utterance
    ids: tuple[str, ...]
    fold: npt.NDArray[np.int64]
    seen_session_ids: tuple[tuple[str, ...], ...]  # of each of `folds`, where they are by session
    test_ids: tuple[str, ...]
    inputs: Mapping[str, str]  # run → sha256 of its logits
    read: Callable[
        [str, int], npt.NDArray[np.float32]
    ]  # ("oof", "seen_session" or "test", which fold)

    def oof(self) -> npt.NDArray[np.float32]:
        """Plain logits (n, C) of `ids`, each predicted by the one fold that never saw it."""
        return np.concatenate([self.read("oof", k) for k in range(len(self.folds))])

    def test(self) -> Iterable[npt.NDArray[np.float32]]:
        """Plain logits (N, C) of `test_ids`, one fold's model after the other."""
        return (self.read("test", k) for k in range(len(self.folds)))

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "folds": list(self.folds), "inputs": dict(self.inputs)}


def seen_session(members: Sequence[Member]) -> list[Member]:
    """The same members, judged as a random split would: by the utterances held out of sessions
    that they were trained on. [] where the folds are not by session, or too small for it.
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
        read=lambda name, k: member.read("seen_session" if name == "oof" else name, k),
    )


def find_members(runs: Iterable[Run]) -> list[Member]:
    """Group finished runs into members; DataError when they do not belong together."""
    manifests = {run: run.manifest() for run in runs}
    check_one_corpus(manifests)
    groups: dict[tuple[str, str, int], list[Run]] = defaultdict(list)
    for run, manifest in manifests.items():
        groups[manifest.variant, run.folder.parent.name, manifest.seed].append(run)
    ordered = sorted(groups.items(), key=lambda item: (_rung(item[0][0]), item[0]))
    return [_load(f"{key[1]}-seed{key[2]}", group, manifests) for key, group in ordered]


def usable(members: Sequence[Member]) -> tuple[list[Member], dict[str, str]]:
    """Members that can be judged together, and for each of the others the reason why it cannot.

    All are compared on the utterances that every one of them has predicted, so one that has a
    single fold beside others with several would take most of the evidence away.
    """
    most = max(len(member.folds) for member in members)
    alone = {
        m.name: f"has fold {m.folds[0]} only, where others have {most}: train its other folds"
        for m in members
        if len(m.folds) == 1 < most
    }
    return [m for m in members if m.name not in alone], alone


def label_of(members: Iterable[Member]) -> str:
    """The label of a submission: its variants from the lowest rung up, as in Strong+Boss."""
    variants = sorted({m.variant for m in members}, key=lambda v: (_rung(v), v))
    return "+".join(v[:1].upper() + v[1:] for v in variants)


def _rung(variant: str) -> int:
    return LADDER.index(variant) if variant in LADDER else len(LADDER)


def _table(manifest: Manifest) -> str:
    return f"{manifest.folds.name} ({manifest.folds.hash})"


def check_one_corpus(manifests: Mapping[Run, Manifest]) -> None:
    """DataError unless all runs come from one corpus and one fold table."""
    for what, key, remedy in (
        ("corpora", lambda m: m.corpus, "name those of one"),
        ("fold tables", _table, "choose one with --split"),
    ):
        found = defaultdict(set)
        for run, manifest in manifests.items():
            found[key(manifest)].add(run.folder.parent.name)
        if len(found) > 1:
            listed = "; ".join(f"{k}: {', '.join(sorted(v))}" for k, v in sorted(found.items()))
            raise DataError(
                f"these runs come from different {what}: {listed}",
                remedy,
            )


def _load(name: str, runs: list[Run], manifests: Mapping[Run, Manifest]) -> Member:
    runs = sorted(runs, key=lambda run: manifests[run].fold)
    oof_ids = [run.read_ids("oof") for run in runs]
    test_ids = [run.read_ids("test") for run in runs]
    for run, ids in zip(runs, test_ids, strict=True):
        if ids != test_ids[0]:
            raise DataError(f"{run.name}: its test utterances are not those of {runs[0].name}")
    seen_session_ids = [
        run.read_ids("seen_session") if manifests[run].seen_session else () for run in runs
    ]
    first = manifests[runs[0]]
    folds = [manifests[run].fold for run in runs]
    twice = [fold for fold, times in Counter(folds).items() if times > 1]
    if twice:
        raise DataError(f"{name}: fold {twice[0]} stands there twice", "leave the copies out")
    return Member(
        name=name,
        variant=first.variant,
        recipe=first.recipe,
        seed=first.seed,
        folds=tuple(folds),
        by=first.folds.by,
        ids=tuple(name for ids in oof_ids for name in ids),
        fold=np.repeat(folds, [len(ids) for ids in oof_ids]),
        seen_session_ids=tuple(seen_session_ids),
        test_ids=test_ids[0],
        inputs={
            f"{run.name}/{file}": manifests[run].sha256[file]
            for run in runs
            for file in ("oof.safetensors", "test.safetensors")
        },
        read=lambda name, k: runs[k].read_logits(name).values,
    )
