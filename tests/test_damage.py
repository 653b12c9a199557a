"""What broken files, pipes and kills leave is named or made good; found by `make torture`."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
import torch

from kaggle_hw4.artifact import sha256_file
from kaggle_hw4.cli import explain
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.manifest import is_old
from kaggle_hw4.data.swap import restore
from kaggle_hw4.errors import DataError
from kaggle_hw4.kaggle.events import Scored
from kaggle_hw4.kaggle.ledger import Ledger
from kaggle_hw4.runs import Run
from kaggle_hw4.stages.predict import predict
from kaggle_hw4.tuning.coordinator import Coordinator
from kaggle_hw4.tuning.finalists import Finalist, specs_of
from kaggle_hw4.tuning.journal import JOURNAL, Lock
from kaggle_hw4.tuning.objective import OBJECTIVES
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.space import Space
from kaggle_hw4.tuning.storage import open_storage, read_storage
from kaggle_hw4.workspace import Workspace
from tests.conftest import tiny

DEEP = "[" * 100_000


def study(folder: Path) -> Path:
    """The journal of a study with one finished trial."""
    with open_storage(folder, None) as storage:
        opened = optuna.create_study(storage=storage.backend, study_name="s")
        trial = opened.ask()
        opened.tell(trial, trial.suggest_float("x", 0.25, 0.25))
    return folder / JOURNAL


def read(path: Path) -> list[optuna.trial.FrozenTrial]:
    with read_storage(path.parent, None) as storage:
        return optuna.load_study(storage=storage.backend, study_name="s").trials


def test_a_changed_value_in_a_journal_is_refused_with_its_line(tmp_path: Path) -> None:
    path = study(tmp_path)
    assert [trial.value for trial in read(path)] == [0.25]
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[-1].replace("0.25", "0.75")]) + "\n")
    with pytest.raises(DataError, match=f"line {len(lines)} is damaged; name a new study"):
        read(path)


@pytest.mark.parametrize(
    "line", [b'{"op_code":6', b"\xff{}", b"[]", b'{"op_code":4}', DEEP.encode()]
)
def test_a_broken_line_in_a_journal_is_a_documented_error(tmp_path: Path, line: bytes) -> None:
    path = study(tmp_path)
    path.write_bytes(line + b"\n" + path.read_bytes())
    with pytest.raises(DataError, match="damaged"):
        read(path)


def test_what_the_dashboard_writes_into_a_journal_has_no_seal_and_is_read(tmp_path: Path) -> None:
    path = study(tmp_path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line | {"seal": ""}) + "\n" for line in lines))
    with pytest.raises(DataError):
        read(path)
    for line in lines:
        del line["seal"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [trial.value for trial in read(path)] == [0.25]


def test_a_pipe_in_the_place_of_a_journal_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / JOURNAL)
    with pytest.raises(OSError, match="not a regular file"), open_storage(tmp_path, None):
        pass


def test_a_journals_lock_that_is_gone_is_no_fault(tmp_path: Path) -> None:
    lock = Lock(str(tmp_path / JOURNAL))
    assert lock.acquire()
    (tmp_path / f"{JOURNAL}.lock").unlink()
    lock.release()


@pytest.fixture
def plan(corpus: Corpus, folds: Folds, tmp_path: Path) -> Plan:
    recipe, space = tiny("boss"), Space("boss.toml")
    target = OBJECTIVES["session"]
    return Plan(Workspace(tmp_path), "boss", recipe, space, target, corpus, folds, "s")


def test_the_folder_of_a_finalist_is_the_same_after_a_retry(plan: Plan) -> None:
    specs = [specs_of(plan, Finalist(number, "boss", plan.baseline, 0.5)) for number in (0, 7)]
    assert specs[0] == specs[1]


def test_what_a_kill_leaves_of_ended_trials_is_deleted(plan: Plan) -> None:
    study(plan.folder)
    for number in ("0", "1"):  # 1 has not ended
        (plan.folder / "trials" / number / "runs").mkdir(parents=True)
    with open_storage(plan.folder, None) as storage:
        opened = optuna.load_study(storage=storage.backend, study_name="s")
        Coordinator(plan, storage, opened, None, None).clean_up()  # type: ignore[arg-type]
    assert [path.name for path in (plan.folder / "trials").iterdir()] == ["1"]


def test_what_a_kill_leaves_of_an_old_corpus_is_deleted(tmp_path: Path) -> None:
    folder, old = tmp_path / "packed", tmp_path / "packed.old"
    folder.mkdir()
    (old / "rest").mkdir(parents=True)
    restore(folder)
    assert folder.is_dir()
    assert not old.exists()


@pytest.mark.parametrize("kind", ["folder", "loop", "pipe"])
def test_a_run_whose_manifest_is_no_file_is_broken_and_not_unfinished(
    tmp_path: Path, kind: str
) -> None:
    run, path = Run(tmp_path / "boss-1" / "fold0-seed0"), tmp_path / "boss-1/fold0-seed0/run.json"
    run.folder.mkdir(parents=True)
    assert not run.done
    {"folder": path.mkdir, "loop": lambda: path.symlink_to(path), "pipe": lambda: os.mkfifo(path)}[
        kind
    ]()
    assert run.done
    with pytest.raises(OSError, match=r"run\.json"):
        run.manifest()


@pytest.mark.parametrize(
    "torn", ['{"step": 2, "lo', '{"st{"step": 2}\n', '{"stop": 2}\n', DEEP + "\n"]
)
def test_metrics_are_read_up_to_a_torn_line(tmp_path: Path, torn: str) -> None:
    run = Run(tmp_path)
    run.log({"step": 1, "loss": 0.5})
    before = run.metrics.read_bytes()
    run.metrics.write_text(before.decode() + torn)
    assert list(run.logged()) == [{"step": 1, "loss": 0.5}]
    run.cut_log(5)
    assert run.metrics.read_bytes() == before


def test_deep_nesting_in_a_manifest_or_a_ledger_is_a_documented_error(tmp_path: Path) -> None:
    (tmp_path / "corpus.json").write_text(DEEP)
    assert not is_old(tmp_path)
    run = Run(tmp_path / "boss-1" / "fold0-seed0")
    run.folder.mkdir(parents=True)
    (run.folder / "run.json").write_text(DEEP)
    with pytest.raises(DataError, match="not the manifest of a run"):
        run.manifest()
    (tmp_path / "ledger.jsonl").write_text(DEEP + "\n")
    assert "line 1 is torn" in Ledger(tmp_path).problems()[0]


def test_predict_names_the_runs_that_are_not_finished(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "packed").symlink_to(corpus.folder)
    unfinished = Run(tmp_path / "runs" / "boss-1" / "fold0-seed0")
    unfinished.folder.mkdir(parents=True)
    (unfinished.folder / "recipe.toml").touch()
    names: list[str] = []
    with pytest.raises(DataError, match="no finished run"):
        predict(Workspace(tmp_path), [tmp_path / "runs"], left_out=names.append)
    assert names == ["boss-1/fold0-seed0"]


def test_a_pipe_is_not_hashed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "counts.csv")
    with pytest.raises(OSError, match="not a regular file"):
        sha256_file(tmp_path / "counts.csv")


def test_a_path_that_is_no_utf_8_can_be_in_the_ledger(tmp_path: Path) -> None:
    how = os.fsdecode(b"caf\xe9.csv")
    Ledger(tmp_path).append(Scored(version="A_V1", board="kaggle", public=0.5, how=how))
    assert not Ledger(tmp_path).problems()
    assert [event.how for event in Ledger(tmp_path).events()] == ["caf?.csv"]  # type: ignore[attr-defined]


def test_a_disk_that_takes_a_part_of_an_event_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    ledger, event = Ledger(tmp_path), Scored(version="A_V1", board="kaggle", public=0.5)
    ledger.append(event)
    before = ledger.path.read_bytes()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, unlimited[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            ledger.append(event)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert ledger.path.read_bytes() == before


@pytest.mark.parametrize("ask", [bytearray, torch.empty])
def test_want_of_memory_is_a_documented_error(
    ask: Callable[[int], object], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((MemoryError, RuntimeError)) as raised:
        ask(2**62)
    assert explain(raised.value) == 4
    assert capsys.readouterr().err.startswith("hw4: there is not enough memory; end other programs")


def test_ctrl_c_during_the_first_imports_is_one_line() -> None:
    code = (
        "import builtins, os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from kaggle_hw4.__main__ import main\n"
        "real = builtins.__import__\n"
        "def slow(name, *rest):\n"
        "    if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = slow\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "hw4: stopped; run the same command again\n")
