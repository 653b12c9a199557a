"""A tiny workspace with everything that a report can show, and names that would do harm."""

import json
import shutil
from pathlib import Path

import pytest
from optuna.trial import TrialState

from kaggle_hw4.data.corpus import Corpus, pack
from kaggle_hw4.data.folds import Folds, make_folds, write_folds
from kaggle_hw4.kaggle.events import Failed, Scored, Submitted
from kaggle_hw4.kaggle.ledger import Ledger
from kaggle_hw4.run_manifest import FoldTable
from kaggle_hw4.stages.ensemble import Request, ensemble
from kaggle_hw4.stages.submit import submit
from kaggle_hw4.tuning.fingerprint import Fingerprint
from kaggle_hw4.tuning.space import Categorical, Float
from kaggle_hw4.tuning.storage import open_storage
from kaggle_hw4.tuning.study import ask, open_study
from kaggle_hw4.workspace import Workspace
from tests.conftest import tiny, trained

HOSTILE = ("<script>alert(1)</script>", "\"a' & <b>", "=1+1", "$x_2$ 화자")
REASON = "<img src=x onerror=alert(2)>"
SPACE = {
    "optimizer.learning_rate": Float(type="float", low=1e-4, high=1e-1, log=True),
    "networks.pooling": Categorical(type="categorical", choices=["mean", "statistics"]),
}


def rename_speakers(synthetic: Path, folder: Path) -> Path:
    """A copy of the official folder whose speakers are called by hostile names."""
    shutil.copytree(synthetic, folder)
    new = dict[str, str]()
    for name in ("mapping.json", "metadata.json"):
        path = folder / "Dataset" / name
        values = json.loads(path.read_text())
        if name == "mapping.json":
            new = dict(zip(sorted(values["speaker2id"]), HOSTILE, strict=True))
            ids = {new[speaker]: k for speaker, k in values["speaker2id"].items()}
            values = {"speaker2id": ids, "id2speaker": {str(k): s for s, k in ids.items()}}
        else:
            values["speakers"] = {new[s]: rows for s, rows in values["speakers"].items()}
        path.write_text(json.dumps(values))
    lines = (folder / "truth.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    quoted = ['"' + new[speaker].replace('"', '""') + '"' for _, speaker in rows]
    answers = [f"{row[0]},{name}" for row, name in zip(rows, quoted, strict=True)]
    (folder / "truth.csv").write_text("\n".join([lines[0], *answers]) + "\n")
    return folder


def train_both(root: Path, corpus: Corpus, folds: Folds) -> None:
    for variant in ("strong", "boss"):
        for fold in range(2):
            recipe = tiny(variant, "schedule.steps=30", "segments.frames=60")
            trained(recipe, corpus, folds, root / "runs", fold=fold, variant=variant)


def score_three(root: Path, truth: Path) -> None:
    """Three versions, scored on a truth file; one of them fails on Kaggle's board, too."""
    workspace = Workspace.at(root)
    groups = [*sorted((root / "runs").glob("*-*"))]
    boss, strong = groups
    for paths in ([strong], [boss], groups):
        version = ensemble(workspace, paths, Request()).created.version
        submit(workspace, version, "local", truth)
    Ledger(root / "submissions").append(Failed(version="Boss_V1", reason=REASON))


def score_on_kaggle(root: Path) -> None:
    ledger = Ledger(root / "submissions")
    for day, (version, public) in enumerate((("Strong_V1", 0.788), ("Boss_V1", 0.757)), 1):
        ledger.append(Submitted(version=version, to="kaggle", date=f"2022-04-0{day}T12:00:00"))
        ledger.append(Scored(version=version, board="kaggle", public=public, private=0.75))


def study(
    root: Path, corpus: Corpus, folds: Folds, name: str = "boss", url: str | None = None
) -> None:
    """Five trials, of which one is pruned; on the server at `url`, where there is one."""
    fingerprint = Fingerprint(
        variant="boss",
        recipe=tiny("boss").sections(),
        space=SPACE,
        corpus=corpus.hash,
        folds=FoldTable(name=folds.name, by=folds.by, count=folds.count, hash=folds.hash),
        objective="session",
        fold=0,
        seed=0,
    )
    with open_storage(root / "studies" / name, url) as storage:
        search = open_study(storage, name, fingerprint)
        while trial := ask(search, 5, seed=0):
            rate = trial.suggest_float("optimizer.learning_rate", 1e-4, 1e-1, log=True)
            trial.suggest_categorical("networks.pooling", ["mean", "statistics"])
            trial.report(rate, 2)
            if trial.number == 3:
                search.tell(trial, state=TrialState.PRUNED)
            else:
                search.tell(trial, 0.5 + rate)


@pytest.fixture(scope="session")
def chain(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace; a test that changes it takes a copy."""
    root = tmp_path_factory.mktemp("report") / "workspace"
    source = rename_speakers(synthetic, root / "corpus")
    corpus = pack(source, root / "packed")
    folds = make_folds(corpus, "session", 2)
    write_folds(root / "folds", folds, corpus)
    train_both(root, corpus, folds)
    score_three(root, source / "truth.csv")
    study(root, corpus, folds)
    return root
