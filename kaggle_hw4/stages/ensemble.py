"""From finished runs to a versioned submission."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaggle_hw4.artifact import commit, read_file, sha256_file
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.locks import locked
from kaggle_hw4.progress import Bar, no_bar
from kaggle_hw4.stages.edition import edition_of_workspace
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.corpus import Corpus
    from kaggle_hw4.ensemble.blend import Blend
    from kaggle_hw4.ensemble.members import Member
    from kaggle_hw4.kaggle.events import Created
    from kaggle_hw4.kaggle.forecast import Forecast
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.metrics import Accuracy
    from kaggle_hw4.runs import Run


@dataclass(frozen=True)
class Request:
    """The blend that is asked for."""

    label: str | None = None  # of the submission; None: the variants, as in Strong+Boss
    split: str | None = None  # only runs of the fold table of this name
    method: str = "auto"  # one of kaggle_hw4.ensemble.blend.METHODS
    counts: Path | None = None  # a table speaker,count of the test set, where it is known
    dry_run: bool = False  # blend and compare, but write nothing and use up no version


@dataclass(frozen=True)
class EnsembleResult:
    """A submission and what its blend was chosen from."""

    created: "Created"  # the event in the ledger
    new: bool  # False: a submission from exactly these logits existed already
    left_out: Mapping[str, str]  # run or member → why it is not in the blend
    forecast: "Forecast | None"  # of its public score; None: too little is known
    edition: int | None  # the year, where the corpus is the competition's


@dataclass(frozen=True)
class Sources:
    """What determines a blend: the same label, request and logits make the same submission."""

    label: str
    method: str
    counts: str | None  # sha256 of the table
    inputs: Mapping[str, str]  # file of logits → sha256

    def fields(self) -> dict[str, Any]:
        """The fields of the created event that hold them."""
        asked = {"method": self.method, "counts": self.counts}
        return {"label": self.label, "asked": asked, "inputs": dict(self.inputs)}


DEFAULT = Request()


def ensemble(
    workspace: Workspace, paths: Iterable[Path], request: Request = DEFAULT, bar: Bar = no_bar
) -> EnsembleResult:
    """Blend the finished runs below `paths` into a new submission, unless it exists already.

    Where the folds are by session, the seen-session accuracy of the same blend is kept beside its
    accuracy out of fold. `bar(name)` makes the progress of a stage. Raises UsageError for a request
    that these runs cannot meet, and DataError for runs that do not belong together.
    """
    workspace.submissions.mkdir(parents=True, exist_ok=True)
    # Two processes at once would both write the same submission.
    with locked(workspace.submissions / ".ensemble.lock"):
        return _ensemble(workspace, paths, request, bar)


def _ensemble(
    workspace: Workspace, paths: Iterable[Path], request: Request, bar: Bar
) -> EnsembleResult:
    from kaggle_hw4.ensemble.members import find_members, usable
    from kaggle_hw4.kaggle.forecast import forecast
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.runs import find_runs, finished

    # Which runs, grouped into members.
    runs = find_runs(paths)
    done = finished(runs)
    members, left_out = usable(find_members(on_split(done, request.split), bar))
    left_out |= {run.name: "is not finished" for run in runs if not run.done}

    # Blend them, unless the ledger has a submission from exactly these logits.
    sources, ledger = _sources(members, request), Ledger(workspace.submissions)
    existing = _existing(ledger, sources)
    if existing is None:
        corpus = corpus_of(workspace, bar)
        check_corpus(corpus, done)
        created = _create(ledger, corpus, members, request, sources, bar)
    else:
        created = existing
    edition = edition_of_workspace(workspace)
    return EnsembleResult(
        created=created,
        new=existing is None,
        left_out=left_out,
        forecast=forecast(ledger.entries(), created.cv, edition),
        edition=edition.year if edition else None,
    )


def on_split(runs: Iterable["Run"], split: str | None) -> list["Run"]:
    """Those of `runs` that were trained on the fold table of this name; None: any."""
    chosen = [run for run in runs if split in (None, run.manifest().folds.name)]
    if not chosen:
        raise UsageError(
            f"none of these runs was trained on the fold table {split!r}", parameter="split"
        )
    return chosen


def _sources(members: Sequence["Member"], request: Request) -> Sources:
    from kaggle_hw4.ensemble.members import label_of
    from kaggle_hw4.kaggle.submissions import check_label

    return Sources(
        label=check_label(request.label or label_of(members)),
        method=request.method,
        counts=sha256_file(request.counts) if request.counts else None,
        inputs={file: sha256 for member in members for file, sha256 in member.inputs.items()},
    )


def _existing(ledger: "Ledger", sources: Sources) -> "Created | None":
    """The created event of a submission from these sources whose file is unchanged."""
    from kaggle_hw4.kaggle.submissions import path_of

    for entry in ledger.entries():
        created, path = entry.created, path_of(ledger.folder, entry.version)
        if created is None:
            continue
        same = all(getattr(created, key) == value for key, value in sources.fields().items())
        if same and path.is_file() and sha256_file(path) == created.sha256:
            return created
    return None


def _create(
    ledger: "Ledger",
    corpus: "Corpus",
    members: Sequence["Member"],
    request: Request,
    sources: Sources,
    bar: Bar,
) -> "Created":
    """Blend the members, write the submission, and append both to the ledger.

    A dry run only blends. A file that was written and not recorded before a kill is recorded now.
    """
    from kaggle_hw4.ensemble.blend import blend
    from kaggle_hw4.kaggle.submissions import find_unrecorded, write_submission

    labels = labels_of(corpus)
    counts = None if request.counts is None else read_counts(request.counts, corpus)
    blended = blend(members, labels, request.method, counts, bar)
    seen_session = _seen_session_accuracy(members, labels, blended.method, bar)
    if request.dry_run:
        return _event(f"{sources.label}_V?", "", blended, seen_session, sources)
    ids = [corpus.ids[row] for row in corpus.test]
    speakers = [corpus.speakers[i] for i in blended.test_labels]
    submission = (ledger.folder, sources.label, ids, speakers)
    written = find_unrecorded(*submission) or write_submission(*submission)
    event = _event(written.version, written.sha256, blended, seen_session, sources)
    return ledger.append(event)


def _seen_session_accuracy(
    members: Sequence["Member"], labels: Mapping[str, int], method: str, bar: Bar
) -> "Accuracy | None":
    """Of the same method on utterances of seen sessions; None where the folds have none."""
    from kaggle_hw4.ensemble.blend import accuracy_of
    from kaggle_hw4.ensemble.members import on_seen_sessions

    seen = on_seen_sessions(members)
    asked = "uniform" if method == "single" else method
    return accuracy_of(seen, labels, asked, bar) if seen else None


def _event(
    version: str,
    sha256: str,
    blended: "Blend",
    seen_session: "Accuracy | None",
    sources: Sources,
) -> "Created":
    """The created event of the ledger: the one place where a blend becomes plain values."""
    from kaggle_hw4.kaggle.events import Created, Validation

    rated = zip(blended.members, blended.temperatures, blended.singles, strict=True)
    validations = {blended.members[0].by: blended.chosen}
    if seen_session is not None:
        validations["utterance"] = seen_session
    return Created(
        version=version,
        sha256=sha256,
        rows=len(blended.test_labels),
        members=[_member(*each) for each in rated],
        weights=list(blended.weights),
        method=blended.method,
        candidates={name: asdict(each) for name, each in blended.candidates.items()},
        differences={name: asdict(each) for name, each in blended.differences.items()},
        disagreement=blended.disagreement,
        cv=[Validation(kind=kind, **asdict(each)) for kind, each in validations.items()],
        commit=commit(),
        **sources.fields(),
    )


def _member(member: "Member", temperature: float, accuracy: "Accuracy") -> dict[str, Any]:
    learned, marks = member.learned_from, {}
    if learned is not None:
        marks = {"learned_from": list(learned.names), "transductive": learned.transductive}
    return {
        "name": member.name,
        "folds": list(member.folds),
        "inputs": dict(member.inputs),
        "temperature": temperature,
        "oof": asdict(accuracy),
        **marks,
    }


def labels_of(corpus: "Corpus") -> dict[str, int]:
    """The label of every training utterance, by its id."""
    return {corpus.ids[row]: int(corpus.labels[row]) for row in corpus.train}


def read_counts(path: Path, corpus: "Corpus") -> list[int]:
    """The lines speaker,count of `path` in label order; DataError unless they add up to the test
    set.
    """
    import csv

    try:
        rows = [row for row in csv.reader(read_file(path).decode("utf-8-sig").splitlines()) if row]
        counts = {name.strip(): int(count) for name, count in rows[rows[0][1:] == ["count"] :]}
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise DataError(f"{path}: not a table of speaker,count ({error})") from error
    unknown = sorted(set(counts) - set(corpus.speakers))
    total = sum(counts.values())
    if unknown or total != len(corpus.test) or min(counts.values()) < 0:
        problem = f"unknown speaker {unknown[0]}" if unknown else f"they add up to {total:,}"
        raise DataError(f"{path}: {problem}, the test set has {len(corpus.test):,} utterances")
    return [counts.get(speaker, 0) for speaker in corpus.speakers]


def check_corpus(corpus: "Corpus", runs: Iterable["Run"]) -> None:
    """DataError unless all runs were trained on this corpus."""
    for run in runs:
        if run.manifest().corpus != corpus.hash:
            raise DataError(
                f"{run.name} was trained on another corpus than {corpus.folder} holds",
                "use the workspace that it was trained in",
            )
