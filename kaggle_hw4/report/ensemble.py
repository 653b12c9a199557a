"""A blend: its members, and how its accuracy grows with them."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

import numpy as np

from kaggle_hw4.ensemble.blend import Stack, stack_members
from kaggle_hw4.ensemble.combine import dense_scores
from kaggle_hw4.ensemble.members import Member, find_members
from kaggle_hw4.errors import DataError, Hw4Error
from kaggle_hw4.kaggle.events import Created, Validation
from kaggle_hw4.kaggle.ledger import Entry
from kaggle_hw4.metrics import Accuracy, Bools, PairedDifference
from kaggle_hw4.runs import Run
from kaggle_hw4.workspace import Workspace

MEMBERS = 12  # at most, of which subsets are blended
SUBSETS = 12  # random ones of each size
LOGITS = 2**28  # bytes: of more logits, a sample of the utterances is blended


@dataclass(frozen=True)
class GreedyStep:
    """The member whose addition makes the most accurate uniform blend of so many."""

    member: str
    accuracy: Accuracy
    gain: PairedDifference | None  # over the step before; None for the first


@dataclass(frozen=True)
class Size:
    """The accuracy of uniform blends of `members` members: over all or some subsets."""

    members: int
    mean: float
    lowest: float
    highest: float
    subsets: int


@dataclass(frozen=True)
class Growth:
    sizes: tuple[Size, ...]
    greedy: tuple[GreedyStep, ...]
    n: int  # utterances


@dataclass(frozen=True)
class MemberRow:
    name: str
    folds: int
    temperature: float
    weight: float
    accuracy: float
    standard_error: float


@dataclass(frozen=True)
class Candidate:
    """A way to blend; `lead` is by how much the chosen one is above it, None for that itself."""

    method: str
    accuracy: float
    standard_error: float
    lead: float | None
    lead_error: float | None


@dataclass(frozen=True)
class EnsembleReport:
    """A version; without `growth`, `reason` says why."""

    version: str
    method: str
    validations: tuple[Validation, ...]
    members: tuple[MemberRow, ...]
    candidates: tuple[Candidate, ...]
    disagreement: tuple[tuple[float, ...], ...]
    growth: Growth | None
    reason: str


def describe_ensemble(
    workspace: Workspace, entry: Entry, labels: Mapping[str, int] | None
) -> EnsembleReport | None:
    """The blend of a version; `labels` are those of the training utterances by id, where there is
    a corpus. None where hw4 did not make the version; DataError for an event of another layout.
    """
    created = entry.created
    if created is None or not created.members:
        return None
    growth, reason = _growth(workspace, created, labels)
    try:
        members, candidates = _members(created), _candidates(created)
    except (KeyError, TypeError) as error:
        raise DataError(f"{created.version} was blended by another version of hw4") from error
    return EnsembleReport(
        version=created.version,
        method=created.method,
        validations=tuple(created.cv),
        members=members,
        candidates=candidates,
        disagreement=tuple(tuple(row) for row in created.disagreement),
        growth=growth,
        reason=reason,
    )


def _members(created: Created) -> tuple[MemberRow, ...]:
    return tuple(
        MemberRow(
            str(member["name"]),
            len(member["folds"]),
            member["temperature"],
            weight,
            member["oof"]["accuracy"],
            member["oof"]["standard_error"],
        )
        for member, weight in zip(created.members, created.weights, strict=True)
    )


def _candidates(created: Created) -> tuple[Candidate, ...]:
    leads = created.differences
    return tuple(
        Candidate(
            name,
            accuracy["accuracy"],
            accuracy["standard_error"],
            leads[name]["difference"] if name in leads else None,
            leads[name]["standard_error"] if name in leads else None,
        )
        for name, accuracy in created.candidates.items()
    )


def _growth(
    workspace: Workspace, created: Created, labels: Mapping[str, int] | None
) -> tuple[Growth | None, str]:
    """How accuracy grows with members; or None, and why."""
    if len(created.members) < 2:
        return None, "It has one member: there is nothing to blend."
    if labels is None:
        return None, "Without the corpus, no blend can be computed."
    try:
        return grow(workspace, created, labels), ""
    except (Hw4Error, OSError, KeyError) as error:
        return None, f"Its members cannot be blended again: {error}."


def grow(workspace: Workspace, created: Created, labels: Mapping[str, int]) -> Growth:
    """How accuracy grows with the members of a blend; DataError where their runs are gone."""
    folders = dict.fromkeys(file.rpartition("/")[0] for file in created.inputs)
    runs = [Run(workspace.runs / folder) for folder in folders]
    if missing := [run.name for run in runs if not run.done]:
        raise DataError(f"{missing[0]} is not there any more")
    members = find_members(runs)
    members = members[:MEMBERS]
    shared = sorted(set(members[0].ids).intersection(*(member.ids for member in members)))
    bytes_a_row = 4 * len(members) * len(set(labels.values()))
    step = 1 + len(shared) * bytes_a_row // LOGITS
    stack = stack_members([_thinned(member, set(shared[::step])) for member in members], labels)
    stack = replace(stack, logp=dense_scores(stack.logp))
    sizes = tuple(_size(stack, k) for k in range(1, len(members) + 1))
    return Growth(sizes, _greedy(stack, [m.name for m in members]), len(stack.y))


def _thinned(member: Member, kept: Set[str]) -> Member:
    """The member on the utterances `kept` alone."""
    mask = np.array([name in kept for name in member.ids])
    masks = [mask[member.fold == fold] for fold in member.folds]
    return replace(
        member,
        ids=tuple(name for name in member.ids if name in kept),
        fold=member.fold[mask],
        read=lambda file, k: member.read(file, k)[masks[k]],
    )


def _correct(stack: Stack, members: list[int]) -> Bools:
    """Which utterances the uniform blend of `members` gets right."""
    logp = dense_scores(stack.logp)
    total = logp[members[0]].copy()
    for k in members[1:]:
        total += logp[k]
    return np.asarray(total.argmax(1) == stack.y)


def _size(stack: Stack, count: int) -> Size:
    """Blends of `count` members, each of a random subset."""
    random = np.random.default_rng(count)
    size = len(stack.logp)
    subsets = {tuple(sorted(random.permutation(size)[:count].tolist())) for _ in range(SUBSETS)}
    if count == 1:
        subsets = {(k,) for k in range(size)}
    accuracies = [stack.accuracy(_correct(stack, list(s))).accuracy for s in sorted(subsets)]
    mean = float(np.mean(accuracies))
    return Size(count, mean, min(accuracies), max(accuracies), len(accuracies))


def _greedy(stack: Stack, names: list[str]) -> tuple[GreedyStep, ...]:
    """From the best member on, each step adds the one that makes the best uniform blend."""
    logp = dense_scores(stack.logp)
    total = np.zeros_like(logp[0])
    left, steps, before = list(range(len(names))), list[GreedyStep](), None
    while left:
        blends = [np.asarray((total + logp[k]).argmax(1) == stack.y) for k in left]
        accuracies = [stack.accuracy(correct) for correct in blends]
        best = max(range(len(left)), key=lambda i: accuracies[i].accuracy)
        gain = None if before is None else stack.paired(blends[best], before)
        steps.append(GreedyStep(names[left[best]], accuracies[best], gain))
        before = blends[best]
        total += logp[left.pop(best)]
    return tuple(steps)
