"""The fold table: which training utterances each fold validates on. Reader and writer."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from kaggle_hw4.artifact import read_file, sha256_json, write_text
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.density import estimate_share, thinned_subsets
from kaggle_hw4.data.leakage import MIN_TRAINING, find_leakage_pairs, purge
from kaggle_hw4.data.speakers import rows_of_speakers
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.progress import Bar, Progress, no_bar

if TYPE_CHECKING:
    import pandas as pd

FORMAT: Final = 3
KINDS = ("session", "utterance")
HOLDOUT_GROUPS = 10  # of each speaker's utterances; every fold holds out one of them
MAX_FOLDS = 1000  # each trains a model of its own
REMEDY = "delete it and run `hw4 split` again"

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Folds:
    """A split of the n training rows: row i is validated in `fold[i]` and belongs to the session
    cluster `session[i]`, which is the row itself where the split is `by` utterance.

    A fold by session also holds out a tenth of the utterances of the sessions that it trains on,
    for a seen-session accuracy: what a random split would estimate for the same model.
    `holdout[i]` is the group (0 … 9) of row i; -1 is never held out.

    Rows too close to a fold's validation rows are not trained on (purging, López de Prado 2018):
    `purged[i, k]` excludes row i from the training of fold k. Session clusters are estimates, so
    the two utterances of the same speaker with the nearest channel may be of the same session, and
    a near-duplicate of a validation row would leak its words.

    Label spreading over validation rows is over subsets with a `share` of each session, which are
    as dense as the test set.
    """

    name: str
    by: str
    count: int
    seed: int
    corpus: str  # hash of the corpus
    fold: IntArray
    session: IntArray
    holdout: IntArray
    purged: BoolArray  # (n, count)
    share: float = 1.0  # of each session's rows in a subset that labels are spread over
    reason: str | None = None  # why it is split so, where that was measured and not asked for

    @property
    def hash(self) -> str:
        """What identifies the split: its columns and the corpus; runs are named by it."""
        columns = [c.tolist() for c in (self.fold, self.session, self.holdout, self.purged)]
        return sha256_json([self.by, self.corpus, self.share, *columns])[:16]

    def check(self, fold: int) -> None:
        """Raise UsageError unless there is such a fold."""
        if not 0 <= fold < self.count:
            last = self.count - 1
            raise UsageError(f"no fold {fold}: {self.name} has 0 to {last}", parameter="fold")

    def validation(self, fold: int) -> IntArray:
        """The validation rows of a fold: of unseen sessions where the split is by session."""
        return np.flatnonzero(self.fold == fold)

    def subsets(self, fold: int) -> list[tuple[IntArray, IntArray]]:
        """Subsets of the fold's validation rows as dense as the test set, as indices into them:
        the rows of each, and those of them whose logits count. Every row counts once.
        """
        sessions = self.session[self.validation(fold)]
        return thinned_subsets(sessions, self.share, np.random.default_rng([self.seed, fold]))

    def seen_session(self, fold: int) -> IntArray:
        """Rows held out of the sessions that the fold trains on; none if split by utterance."""
        return np.flatnonzero((self.fold != fold) & (self.holdout == fold % HOLDOUT_GROUPS))

    def training(self, fold: int) -> IntArray:
        """The rows that the fold trains on."""
        held_out = (self.fold == fold) | (self.holdout == fold % HOLDOUT_GROUPS)
        return np.flatnonzero(~(held_out | self.purged[:, fold]))


def make_folds(corpus: Corpus, by: str, count: int, seed: int = 0, bar: Bar = no_bar) -> Folds:
    """Split the training rows into `count` folds, stratified by speaker.

    `by` "utterance" is the usual random split; `by` "session" keeps session clusters whole, so that
    validation is on unseen sessions. Every speaker gets at least one cluster per fold: a fold
    without some speakers underestimates, since those that it validates have fewer utterances to
    train on (docs/LOG.md). `bar(name)` makes the progress of a stage.

    Raises UsageError where there can be no such split.
    """
    labels = corpus.labels[corpus.train]
    if not 2 <= count <= len(labels):
        text = f"{len(labels)} utterances cannot be split into {count} folds"
        raise UsageError(text, "choose 2 or more, and no more than utterances", parameter="folds")
    if by not in KINDS:
        raise UsageError(
            f"cannot split by {by!r}: choose one of {', '.join(KINDS)}", parameter="by"
        )
    if by == "utterance":
        session = np.arange(len(labels))
        share = min(1.0, count * len(corpus.test) / len(labels))
    else:
        session = _cluster(corpus, count, bar("sessions"))
        share = estimate_share(corpus, session)
    fold = assign_folds(labels, session, count, seed)
    if np.bincount(fold, minlength=count).min() == 0:
        raise UsageError(f"there are too few sessions for {count} folds", parameter="folds")
    holdout, purged = np.full(len(fold), -1), np.zeros((len(fold), count), bool)
    if by == "session":
        holdout = assign_holdout_groups(labels, fold, seed)
        pairs = find_leakage_pairs(corpus, bar("near-duplicates"))
        purged = purge(pairs, labels, fold, count)
    name = table_name(by, count, seed)
    return Folds(name, by, count, seed, corpus.hash, fold, session, holdout, purged, share)


def _cluster(corpus: Corpus, count: int, progress: Progress) -> IntArray:
    # Imported here: scikit-learn takes two seconds, and reading folds does not need it.
    from kaggle_hw4.data.sessions import MIN_SESSIONS, cluster_sessions

    rows = corpus.train
    descriptors, labels = corpus.channels.descriptor[rows], corpus.labels[rows]
    return cluster_sessions(descriptors, labels, max(count, MIN_SESSIONS), progress)


def assign_holdout_groups(labels: IntArray, fold: IntArray, seed: int) -> IntArray:
    """The holdout group (n,) of each row, ten even ones of each speaker's utterances; -1 for
    speakers of whom a fold leaves too few to train on.
    """
    holdout = assign_folds(labels, np.arange(len(labels)), HOLDOUT_GROUPS, seed)
    for rows in rows_of_speakers(labels).values():
        if len(rows) - np.bincount(fold[rows]).max() < MIN_TRAINING:
            holdout[rows] = -1
    return holdout


def assign_folds(labels: IntArray, sessions: IntArray, count: int, seed: int) -> IntArray:
    """The fold (n,) of each row: sessions stay whole, speakers and folds as balanced as they allow.

    Each speaker's sessions are assigned from the largest, each to the fold with the fewest
    utterances of the speaker, then the fewest of all. (scikit-learn's StratifiedGroupKFold balances
    classes in total and can leave a speaker without training utterances; this cannot once the
    speaker has two sessions.)
    """
    random = np.random.default_rng([seed, len(labels)])
    fold = np.empty(len(labels), np.int64)
    total, speakers = np.zeros(count, np.int64), rows_of_speakers(labels)
    for label in random.permutation(int(labels.max()) + 1):
        rows, own = speakers.get(int(label), fold[:0]), np.zeros(count, np.int64)
        names, sizes = np.unique(sessions[rows], return_counts=True)
        for i in np.lexsort((random.random(len(names)), -sizes)):
            chosen = np.lexsort((random.random(count), total, own))[0]
            fold[rows[sessions[rows] == names[i]]] = chosen
            own[chosen] += sizes[i]
            total[chosen] += sizes[i]
    return fold


def table_name(by: str, count: int, seed: int) -> str:
    """The name of a fold table: `session5`, or `session5-seed1`."""
    return f"{by}{count}" + (f"-seed{seed}" if seed else "")


class Header(BaseModel):
    """The first line of a fold table, JSON behind `# `."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[3]
    by: str
    count: Annotated[int, Field(ge=2, le=MAX_FOLDS)]
    seed: int
    corpus: str
    share: Annotated[float, Field(gt=0, le=1)]
    reason: str | None
    hash: str  # of the Folds


def write_folds(folder: Path, folds: Folds, corpus: Corpus) -> Path:
    """Write `<name>.csv` into `folder`: a header, then id, speaker, session, fold, holdout and
    purged (the folds that the row is excluded from). DataError if it exists: runs depend on it.
    """
    import pandas as pd

    path = folder / f"{folds.name}.csv"
    if path.exists():
        raise DataError(f"{path} exists already", "delete it, or choose another seed")
    rows = corpus.train
    table = pd.DataFrame(
        {
            "id": [corpus.ids[row] for row in rows],
            "speaker": [corpus.speakers[label] for label in corpus.labels[rows]],
            "session": folds.session,
            "fold": folds.fold,
            "holdout": folds.holdout,
            "purged": [" ".join(map(str, np.flatnonzero(row))) for row in folds.purged],
        }
    )
    header = Header(
        format=FORMAT,
        by=folds.by,
        count=folds.count,
        seed=folds.seed,
        corpus=folds.corpus,
        share=folds.share,
        reason=folds.reason,
        hash=folds.hash,
    )
    body = table.to_csv(index=False, lineterminator="\n")
    write_text(path, f"# {json.dumps(header.model_dump())}\n{body}")
    return path


def read_folds(path: Path, corpus: Corpus) -> Folds:
    """The fold table in `path`. DataError if it is of another format or another corpus, damaged or
    edited.
    """
    import pandas as pd

    try:
        head, _, body = read_file(path).decode().partition("\n")
        values = json.loads(head.removeprefix("# "))
        if isinstance(values, dict) and values.get("format") != FORMAT:
            raise DataError(f"{path} was made by another version of hw4", REMEDY)
        header = Header.model_validate(values)
        table = pd.read_csv(io.StringIO(body), dtype=COLUMNS, keep_default_na=False)
        folds = _parse(path.stem, header, table)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise DataError(f"{path}: not a fold table ({_first_line(error)})", REMEDY) from error
    if folds.corpus != corpus.hash:
        text = f"{path} splits corpus {folds.corpus}, but {corpus.folder} holds {corpus.hash}"
        raise DataError(text, REMEDY)
    if folds.hash != header.hash or table["id"].tolist() != [corpus.ids[i] for i in corpus.train]:
        raise DataError(f"{path} was changed after it was written", REMEDY)
    return folds


COLUMNS = {"id": str, "session": np.int64, "fold": np.int64, "holdout": np.int64, "purged": str}


def _parse(name: str, header: Header, table: "pd.DataFrame") -> Folds:
    session, fold, holdout = (table[c].to_numpy() for c in ("session", "fold", "holdout"))
    purged = np.zeros((len(table), header.count), bool)
    for row, excluded in enumerate(table["purged"]):
        purged[row, [int(k) for k in excluded.split()]] = True
    return Folds(
        name=name,
        by=header.by,
        count=header.count,
        seed=header.seed,
        corpus=header.corpus,
        fold=fold,
        session=session,
        holdout=holdout,
        purged=purged,
        share=header.share,
        reason=header.reason,
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def find_folds(folder: Path, corpus: Corpus, name: str | None) -> Folds:
    """The fold table in `folder` called `name`; without a name, the only one there.

    Raises DataError where there is none and UsageError where it is unclear which.
    """
    names = sorted(path.stem for path in folder.glob("*.csv"))
    if not names:
        raise DataError(f"no fold table in {folder}", "run `hw4 split` first")
    if name is None and len(names) > 1:
        text = f"there are several fold tables: {', '.join(names)}"
        raise UsageError(text, "name one of them", parameter="split")
    if name is not None and name not in names:
        text = f"there is no fold table {name!r}"
        raise UsageError(text, f"there are {', '.join(names)}", parameter="split")
    return read_folds(folder / f"{name or names[0]}.csv", corpus)
