"""Members of an ensemble: one variant trained from one seed, with all of its folds."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_hw4.errors import DataError
from kaggle_hw4.runs import Run

LADDER = ("simple", "medium", "strong", "boss")


@dataclass(frozen=True)
class Member:
    """The runs of one variant and seed; `oof` and `test` are plain logits.

    oof: (n, C) of the utterances `ids`, each predicted by the one fold that never saw it.
    test: (folds, N, C), in the order of `test_ids`.
    """

    name: str
    variant: str
    folds: tuple[int, ...]
    by: str  # what the folds hold out: session or utterance
    ids: tuple[str, ...]
    fold: npt.NDArray[np.int64]
    oof: npt.NDArray[np.float32]
    test_ids: tuple[str, ...]
    test: npt.NDArray[np.float32]
    inputs: Mapping[str, str]  # run → sha256 of its logits

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "folds": list(self.folds), "inputs": dict(self.inputs)}


def find_members(runs: Iterable[Run]) -> list[Member]:
    """Group finished runs into members; DataError when they do not belong together."""
    manifests = {run: run.manifest() for run in runs}
    _check_one_corpus(manifests)
    groups: dict[tuple[str, str, int], list[Run]] = defaultdict(list)
    for run, manifest in manifests.items():
        groups[manifest["variant"], run.folder.parent.name, manifest["seed"]].append(run)
    ordered = sorted(groups.items(), key=lambda item: (_rung(item[0][0]), item[0]))
    return [_load(f"{key[1]}-seed{key[2]}", group, manifests) for key, group in ordered]


def label_of(members: Iterable[Member]) -> str:
    """The label of a submission: its variants from the lowest rung up, as in Strong+Boss."""
    variants = sorted({m.variant for m in members}, key=lambda v: (_rung(v), v))
    return "+".join(v[:1].upper() + v[1:] for v in variants)


def _rung(variant: str) -> int:
    return LADDER.index(variant) if variant in LADDER else len(LADDER)


def _table(manifest: dict[str, Any]) -> str:
    return f"{manifest['folds']['name']} ({manifest['folds']['hash']})"


def _check_one_corpus(manifests: Mapping[Run, dict[str, Any]]) -> None:
    for what, key, remedy in (
        ("corpora", lambda m: m["corpus"], "name those of one"),
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


def _load(name: str, runs: list[Run], manifests: Mapping[Run, dict[str, Any]]) -> Member:
    runs = sorted(runs, key=lambda run: int(manifests[run]["fold"]))
    oof = [run.read_logits("oof") for run in runs]
    test = [run.read_logits("test") for run in runs]
    for run, logits in zip(runs, test, strict=True):
        if logits.ids != test[0].ids:
            raise DataError(f"{run.name}: its test utterances are not those of {runs[0].name}")
    first = manifests[runs[0]]
    folds = [int(manifests[run]["fold"]) for run in runs]
    twice = [fold for fold, times in Counter(folds).items() if times > 1]
    if twice:
        raise DataError(f"{name}: fold {twice[0]} stands there twice", "leave the copies out")
    return Member(
        name=name,
        variant=first["variant"],
        folds=tuple(folds),
        by=first["folds"]["by"],
        ids=tuple(name for logits in oof for name in logits.ids),
        fold=np.repeat(folds, [len(logits.ids) for logits in oof]),
        oof=np.concatenate([logits.values for logits in oof]),
        test_ids=test[0].ids,
        test=np.stack([logits.values for logits in test]),
        inputs={
            f"{run.name}/{file}": manifests[run]["sha256"][file]
            for run in runs
            for file in ("oof.safetensors", "test.safetensors")
        },
    )
