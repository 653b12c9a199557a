"""The fold table: which training utterance is validated in which fold. Reader and writer."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kaggle_hw4.artifact import sha256_json, write_text
from kaggle_hw4.data.channel import describe_channels
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.duplicates import find_near_duplicates
from kaggle_hw4.errors import DataError, UsageError

KINDS = ("session", "utterance")
HOLDOUT_GROUPS = 10  # of the utterances, each held out with one fold
FEWEST_TRAINING = 3  # utterances of a speaker that a fold must leave for any more to be left out
REMEDY = "delete it and run `hw4 split` again"


@dataclass(frozen=True)
class Folds:
    """`fold[i]` and `session[i]` of training row i; `session` is the row itself `by` utterance.

    A fold by session holds out some utterances of the sessions that it trains on as well, a tenth
    of them: what a random split would have promised of the very same model. `part[i]` says in
    which of ten of them row i is; -1 is in none.

    Not everything else is trained on (purging, López de Prado 2018): `purged[i, k]` says that row i
    is too near to fold k's validation. A guess is a guess: one of the two utterances of the same
    speaker that sound most as if from row i's session may lie there, or the very same recording.
    """

    name: str
    by: str
    count: int
    seed: int
    corpus: str  # hash of the packed corpus
    fold: npt.NDArray[np.int64]
    session: npt.NDArray[np.int64]
    holdout: npt.NDArray[np.int64]
    purged: npt.NDArray[np.bool_]  # (n, count)

    @property
    def hash(self) -> str:
        columns = [c.tolist() for c in (self.fold, self.session, self.holdout, self.purged)]
        return sha256_json([self.by, self.corpus, *columns])[:16]

    def check(self, fold: int) -> None:
        """UsageError unless there is such a fold."""
        if not 0 <= fold < self.count:
            last = self.count - 1
            raise UsageError(f"no fold {fold}: {self.name} has 0 to {last}", parameter="fold")

    def validation(self, fold: int) -> npt.NDArray[np.int64]:
        """The rows that the fold is judged by: of unheard sessions where it is by session."""
        return np.flatnonzero(self.fold == fold)

    def seen_session(self, fold: int) -> npt.NDArray[np.int64]:
        """Rows held out of the sessions that the fold trains on; none where it is by utterance."""
        return np.flatnonzero((self.fold != fold) & (self.holdout == fold % HOLDOUT_GROUPS))

    def training(self, fold: int) -> npt.NDArray[np.int64]:
        held_out = (
            (self.fold == fold) | (self.holdout == fold % HOLDOUT_GROUPS) | self.purged[:, fold]
        )
        return np.flatnonzero(~held_out)


def make_folds(
    corpus: Corpus,
    by: str,
    count: int,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Folds:
    """Split the training rows into `count` folds, stratified by speaker.

    `by` "utterance" deals out single utterances, as everybody does; `by` "session" keeps the
    utterances of a guessed session together, so that validation hears sessions never trained on.
    Every speaker is guessed to have a session for every fold. A fold that passes some over promises
    too little: those who are judged have less to train on than those who are not (docs/LOG.md).
    """
    labels = corpus.labels[corpus.train]
    if not 2 <= count <= len(labels):
        raise UsageError(
            f"--folds {count}: a split needs 2 folds or more, as many as utterances at most"
        )
    if by == "session":
        # Here and not above: scikit-learn takes two seconds to import, reading folds does not.
        from kaggle_hw4.data.sessions import FEWEST, cluster_sessions, nearest_of_speaker

        described = describe_channels(corpus, corpus.train)
        fewest = max(count, FEWEST)
        session = cluster_sessions(described, labels, fewest, lambda done, n: progress(done, 2 * n))
    elif by == "utterance":
        session = np.arange(len(labels))
    else:
        raise UsageError(f"--by {by}: a split is by one of {', '.join(KINDS)}")
    fold = assign_folds(labels, session, count, seed)
    if np.bincount(fold, minlength=count).min() == 0:
        raise UsageError(f"--folds {count}: there are too few sessions for so many folds")
    holdout, purged = np.full(len(fold), -1), np.zeros((len(fold), count), bool)
    if by == "session":
        holdout = assign_holdouts(labels, fold, seed)
        nearest = nearest_of_speaker(described, labels)
        pairs = find_leakage_pairs(
            corpus, labels, nearest, lambda done, n: progress(n + done, 2 * n)
        )
        purged = purge(pairs, labels, fold, count)
    name = table_name(by, count, seed)
    return Folds(name, by, count, seed, corpus.hash, fold, session, holdout, purged)


def find_leakage_pairs(
    corpus: Corpus,
    labels: npt.NDArray[np.int64],
    nearest: npt.NDArray[np.int64],
    progress: Callable[[int, int], None],
) -> npt.NDArray[np.int64]:
    """Pairs (m, 2) of rows, of which none may be trained on where the other is validated: each
    row and the two `nearest` it (n, 2), and the twins, either way.
    """
    pairs = [(row, int(other)) for row, others in enumerate(nearest) for other in others]
    speakers = np.unique(labels)
    for done, label in enumerate(speakers):
        rows = np.flatnonzero(labels == label)
        for i, j in find_near_duplicates(corpus, rows):
            pairs += [(int(rows[i]), int(rows[j])), (int(rows[j]), int(rows[i]))]
        progress(done + 1, len(speakers))
    return np.array(pairs, np.int64)


def purge(
    pairs: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    fold: npt.NDArray[np.int64],
    count: int,
) -> npt.NDArray[np.bool_]:
    """Whether row i is left out of the training of fold k (n, count), as one of its kin is there;
    a speaker whom that would leave too little is spared.
    """
    purged = np.zeros((len(fold), count), bool)
    purged[pairs[:, 0], fold[pairs[:, 1]]] = True
    purged[np.arange(len(fold)), fold] = False  # its own fold is not trained on anyway
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        for k in range(count):
            if ((fold[rows] != k) & ~purged[rows, k]).sum() < FEWEST_TRAINING:
                purged[rows, k] = False
    return purged


def assign_holdouts(
    labels: npt.NDArray[np.int64], fold: npt.NDArray[np.int64], seed: int
) -> npt.NDArray[np.int64]:
    """Ten even parts of each speaker's utterances; -1 where a fold leaves few to train on."""
    holdout = assign_folds(labels, np.arange(len(labels)), HOLDOUT_GROUPS, seed)
    for label in np.unique(labels):
        own = fold[labels == label]
        if len(own) - np.bincount(own).max() < FEWEST_TRAINING:
            holdout[labels == label] = -1
    return holdout


def table_name(by: str, count: int, seed: int) -> str:
    return f"{by}{count}" + (f"-seed{seed}" if seed else "")


def assign_folds(
    labels: npt.NDArray[np.int64], sessions: npt.NDArray[np.int64], count: int, seed: int
) -> npt.NDArray[np.int64]:
    """A fold for every row: whole sessions, each speaker and each fold as even as they allow.

    Large sessions are dealt first, each to the fold with the fewest utterances of its speaker,
    then the fewest of all. (scikit-learn's StratifiedGroupKFold balances classes in the sum and
    can leave a speaker with no training utterance; this cannot once he has two sessions.)
    """
    random = np.random.default_rng([seed, len(labels)])
    fold = np.empty(len(labels), np.int64)
    total = np.zeros(count, np.int64)
    for label in random.permutation(int(labels.max()) + 1):
        rows = np.flatnonzero(labels == label)
        own = np.zeros(count, np.int64)
        names, sizes = np.unique(sessions[rows], return_counts=True)
        for i in np.lexsort((random.random(len(names)), -sizes)):
            chosen = np.lexsort((random.random(count), total, own))[0]
            fold[rows[sessions[rows] == names[i]]] = chosen
            own[chosen] += sizes[i]
            total[chosen] += sizes[i]
    return fold


def write_folds(folder: Path, folds: Folds, corpus: Corpus) -> Path:
    """Write `folds/<name>.csv`, which must not be there yet: runs name the table by its hash."""
    path = folder / f"{folds.name}.csv"
    if path.exists():
        raise DataError(f"{path} is there already", "choose another --seed, or delete it")
    rows = corpus.train
    table = pd.DataFrame(
        {
            "id": [corpus.ids[row] for row in rows],
            "speaker": [corpus.speakers[label] for label in corpus.labels[rows]],
            "session": folds.session,
            "fold": folds.fold,
            "part": folds.holdout,
            "purged": [" ".join(map(str, np.flatnonzero(row))) for row in folds.purged],
        }
    )
    write_text(path, _header(folds) + table.to_csv(index=False, lineterminator="\n"))
    return path


def read_folds(path: Path, corpus: Corpus) -> Folds:
    """The fold table in `path`, checked against its own hash and the packed corpus."""
    try:
        head, _, body = path.read_text(encoding="utf-8").partition("\n")
        header: dict[str, Any] = json.loads(head.removeprefix("# "))
        table = pd.read_csv(
            io.StringIO(body), dtype={"id": str, "purged": str}, keep_default_na=False
        )
        fold, session, holdout = (table[c].to_numpy(np.int64) for c in ("fold", "session", "part"))
        purged = np.zeros((len(table), int(header["count"])), bool)
        for row, folds in enumerate(table["purged"]):
            purged[row, [int(k) for k in folds.split()]] = True
        names = {k: header[k] for k in HEADER} | {"name": path.stem}
        found = Folds(**names, fold=fold, session=session, holdout=holdout, purged=purged)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a fold table ({error})", REMEDY) from None
    if found.corpus != corpus.hash:
        raise DataError(
            f"{path} splits corpus {found.corpus}, but {corpus.folder} holds {corpus.hash}",
            REMEDY,
        )
    ids = [corpus.ids[row] for row in corpus.train]
    if found.hash != header.get("hash") or table["id"].tolist() != ids:
        raise DataError(f"{path} was changed after it was written", REMEDY)
    return found


def find_folds(folder: Path, corpus: Corpus, name: str | None) -> Folds:
    """The table called `name`, or the only one there is."""
    names = sorted(path.stem for path in folder.glob("*.csv"))
    if not names:
        raise DataError(
            f"no fold table in {folder}", "run `hw4 split --folds 5 --by session` first"
        )
    if name is None and len(names) > 1:
        raise UsageError(
            f"there are several fold tables: {', '.join(names)}", "name one with --split"
        )
    if name is not None and name not in names:
        raise UsageError(f"there is no fold table {name!r}", f"there are {', '.join(names)}")
    return read_folds(folder / f"{name or names[0]}.csv", corpus)


HEADER = ("by", "count", "seed", "corpus")


def _header(folds: Folds) -> str:
    values = {key: getattr(folds, key) for key in HEADER} | {"hash": folds.hash}
    return f"# {json.dumps(values)}\n"
