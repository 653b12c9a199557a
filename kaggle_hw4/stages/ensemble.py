"""From finished runs to a versioned submission."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from kaggle_hw4.artifact import commit, sha256_file
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.stages.edition import edition_of_workspace
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.corpus import Corpus
    from kaggle_hw4.ensemble.blend import Blend
    from kaggle_hw4.ensemble.members import Member
    from kaggle_hw4.kaggle.events import Created
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.runs import Run


def ensemble(
    workspace: Workspace,
    paths: Iterable[Path],
    label: str | None = None,
    split: str | None = None,
    method: str = "auto",
    counts: Path | None = None,
) -> dict[str, Any]:
    """Blend the finished runs below `paths` into a new submission, or find it made.

    `split` takes only the runs of the fold table of that name. Where it is by session, what a
    random split would have said of the same models is kept beside it.
    """
    workspace.submissions.mkdir(parents=True, exist_ok=True)
    with FileLock(workspace.submissions / ".ensemble.lock"):  # two at once would make it twice
        return _ensemble(workspace, paths, label, split, method, counts)


def _ensemble(
    workspace: Workspace,
    paths: Iterable[Path],
    label: str | None,
    split: str | None,
    method: str,
    counts: Path | None,
) -> dict[str, Any]:
    from kaggle_hw4.ensemble.members import find_members, label_of, usable
    from kaggle_hw4.kaggle.forecast import forecast
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.runs import find_runs, finished

    runs = find_runs(paths)
    done = finished(runs)
    chosen = [run for run in done if split in (None, _table(run))]
    if not chosen:
        raise UsageError(f"none of these runs was trained on the fold table {split!r}")
    members, left_out = usable(find_members(chosen))
    left_out |= {run.name: "is not finished" for run in runs if not run.done}
    label = label or label_of(members)
    asked = {"method": method, "counts": sha256_file(counts) if counts else None}
    inputs = {k: v for m in members for k, v in m.inputs.items()}
    ledger = Ledger(workspace.submissions)
    made = _made_already(ledger, {"label": label, "asked": asked, "inputs": inputs})
    new = made is None
    if made is None:
        corpus = corpus_of(workspace)
        check_corpus(corpus, done)
        found = _blend(corpus, members, method, counts)
        made = _write(ledger, corpus, found, {"label": label, "asked": asked, "inputs": inputs})
    promise = forecast(ledger.entries(), made.cv, edition_of_workspace(workspace))
    return {
        **made.model_dump(exclude_unset=True),
        "new": new,
        "left_out": left_out,
        "forecast": promise,
    }


def _table(run: "Run") -> str:
    return run.manifest().folds.name


def _made_already(ledger: "Ledger", what: dict[str, Any]) -> "Created | None":
    """The creation of a submission from just these logits whose file is still as it was."""
    from kaggle_hw4.kaggle.submissions import path_of

    for entry in ledger.entries():
        created, path = entry.created, path_of(ledger.folder, entry.version)
        if created is None or any(getattr(created, key) != what[key] for key in what):
            continue
        if path.is_file() and sha256_file(path) == created.sha256:
            return created
    return None


def _blend(
    corpus: "Corpus",
    members: "Sequence[Member]",
    method: str,
    counts: Path | None,
) -> dict[str, Any]:
    """What the ledger keeps of the blend of `members`, and the labels that it predicts."""
    from kaggle_hw4.ensemble.blend import blend
    from kaggle_hw4.ensemble.members import seen_session

    truth = truth_of(corpus)
    known = None if counts is None else read_counts(counts, corpus)
    found = blend(members, truth, method, known)
    cv = [{"kind": members[0].by, **found.chosen}]
    if easier := seen_session(members):
        same = "uniform" if found.method == "single" else found.method
        cv.append({"kind": "utterance", **blend(easier, truth, same).chosen})
    return describe(found) | {"cv": cv, "test_labels": found.test_labels}


def _write(
    ledger: "Ledger", corpus: "Corpus", found: dict[str, Any], what: dict[str, Any]
) -> "Created":
    """Write the submission and tell the ledger."""
    from kaggle_hw4.kaggle.events import Created
    from kaggle_hw4.kaggle.submissions import write_submission

    names = [corpus.speakers[i] for i in found.pop("test_labels")]
    ids = [corpus.ids[row] for row in corpus.test]
    written = write_submission(ledger.folder, what["label"], ids, names)
    details = {"sha256": written.sha256, "rows": len(names), **found, "commit": commit()}
    return ledger.append(Created(version=written.version, **details, **what))


def truth_of(corpus: "Corpus") -> dict[str, int]:
    """The label of every training utterance."""
    return {corpus.ids[row]: int(corpus.labels[row]) for row in corpus.train}


def describe(found: "Blend") -> dict[str, Any]:
    """A blend as the ledger keeps it."""
    members = zip(found.members, found.temperatures, found.singles, strict=True)
    return {
        "members": [m.describe() | {"temperature": t, "oof": s} for m, t, s in members],
        "weights": list(found.weights),
        "method": found.method,
        "candidates": found.candidates,
        "differences": found.differences,
        "disagreement": found.disagreement,
    }


def read_counts(path: Path, corpus: "Corpus") -> list[int]:
    """The lines speaker,count of `path` in label order; they must add up to the test set."""
    import csv

    try:
        rows = [row for row in csv.reader(path.read_text(encoding="utf-8").splitlines()) if row]
        counts = {name.strip(): int(count) for name, count in rows[rows[0][1:] == ["count"] :]}
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{path}: not a table of speaker,count ({error})") from None
    unknown = sorted(set(counts) - set(corpus.speakers))
    total = sum(counts.values())
    if unknown or total != len(corpus.test) or min(counts.values()) < 0:
        told = f"unknown speaker {unknown[0]}" if unknown else f"they add up to {total:,}"
        raise DataError(f"{path}: {told}, the test set has {len(corpus.test):,} utterances")
    return [counts.get(speaker, 0) for speaker in corpus.speakers]


def check_corpus(corpus: "Corpus", runs: Iterable["Run"]) -> None:
    for run in runs:
        if run.manifest().corpus != corpus.hash:
            raise DataError(
                f"{run.name} was trained on another corpus than {corpus.folder} holds",
                "use the workspace that it was trained in",
            )
