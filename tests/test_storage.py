"""The storage of a study: repaired and locked when it is opened, never SQLite for two workers."""

import json
import sqlite3
import warnings
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from kaggle_hw4.errors import DataError, StorageError, UsageError
from kaggle_hw4.execution.executor import RETRIES
from kaggle_hw4.tuning.journal import JOURNAL, repair
from kaggle_hw4.tuning.retry import retry_history
from kaggle_hw4.tuning.server import HEARTBEAT
from kaggle_hw4.tuning.storage import open_storage, read_storage
from kaggle_hw4.tuning.study import CRASHES, TrialCounts, count, retry_crashed


def journal(folder: Path, trials: int = 3) -> Path:
    """A journal of a study with one finished trial and others left RUNNING."""
    with open_storage(folder, None) as storage:
        study = optuna.create_study(storage=storage.backend, study_name="s")
        started = [study.ask() for _ in range(trials)]
        started[0].suggest_float("x", 0.0, 1.0)
        study.tell(started[0], 0.5)
        started[1].suggest_float("x", 0.0, 1.0)
        started[1].report(0.3, 10)
    return folder / JOURNAL


def reopened(folder: Path) -> optuna.Study:
    """The study as a new coordinator leaves it."""
    with open_storage(folder, None) as storage:
        study = optuna.load_study(storage=storage.backend, study_name="s")
        storage.requeue_stale(study)
        retry_crashed(study)
        return study


@pytest.mark.parametrize("torn", [b'{"op_code":6,"tri', b"\x00\x00\x00\n", b'{"op_code":4}'])
def test_an_incomplete_last_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = journal(tmp_path)
    complete = path.read_bytes()
    path.write_bytes(complete + torn)
    (tmp_path / f"{JOURNAL}.lock").symlink_to(path)  # the killed writer held it
    repair(path)
    assert path.read_bytes() == complete
    assert not (tmp_path / f"{JOURNAL}.lock").is_symlink()


def test_a_damaged_line_in_the_middle_is_refused_with_its_number(tmp_path: Path) -> None:
    path = journal(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2][:5] + b"\n", *lines[3:]]))
    with pytest.raises(DataError, match="line 3 is damaged; name a new study"):
        repair(path)


def test_trials_of_a_killed_coordinator_wait_as_they_were(tmp_path: Path) -> None:
    journal(tmp_path)
    study = reopened(tmp_path)
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE, *[TrialState.WAITING] * 2]
    assert study.trials[1].params
    assert study.trials[1].intermediate_values == {10: 0.3}
    assert count(study) == TrialCounts(1, 1, 0, 0, 0, 2, retried=0)


def test_a_kill_of_the_coordinator_never_ends_a_trial(tmp_path: Path) -> None:
    journal(tmp_path, trials=2)
    for _ in range(RETRIES + 3):
        with open_storage(tmp_path, None) as storage:
            study = optuna.load_study(storage=storage.backend, study_name="s")
            storage.requeue_stale(study)
            assert study.ask().number == 1
    assert count(reopened(tmp_path)) == TrialCounts(1, 1, 0, 0, 0, 1, retried=0)


@pytest.mark.parametrize("url", [None, "sqlite:///{}/s.db"])
def test_a_run_whose_process_crashes_is_retried_twice_at_most(
    tmp_path: Path, url: str | None
) -> None:
    with open_storage(tmp_path, url and url.format(tmp_path)) as storage:
        study = optuna.create_study(storage=storage.backend, study_name="s")
        for crashes in range(1, RETRIES + 2):
            trial = study.ask()
            trial.set_user_attr(CRASHES, crashes)
            study.tell(trial, state=TrialState.FAIL)
            retry_crashed(study)
        assert [len(retry_history(trial)) for trial in study.trials] == [0, 1, 2]
        assert count(study) == TrialCounts(1, 0, 0, 1, 0, 0, retried=2)


def test_a_kill_of_a_coordinator_on_a_server_never_ends_a_trial(tmp_path: Path) -> None:
    with open_storage(tmp_path, f"sqlite:///{tmp_path}/s.db", heartbeat=1) as storage:
        study = optuna.create_study(storage=storage.backend, study_name="s")
        for number in range(RETRIES + 3):
            assert study.ask().number == number
            study.tell(number, state=TrialState.FAIL)  # as a server does with a stale trial
            retry_crashed(study)
        assert (count(study).waiting, count(study).failed) == (1, 0)


def test_a_heartbeat_is_recorded_when_it_is_due(tmp_path: Path) -> None:
    with open_storage(tmp_path, f"sqlite:///{tmp_path}/s.db") as server:
        trial = optuna.create_study(storage=server.backend, study_name="s").ask()._trial_id
        server.heartbeat([trial])
        first = dict(server.last_heartbeat)
        server.heartbeat([trial])
        assert server.last_heartbeat == first
        server.last_heartbeat[trial] -= HEARTBEAT + 1
        server.heartbeat([trial])
        assert server.last_heartbeat[trial] >= first[trial]


def test_a_study_has_one_coordinator(tmp_path: Path) -> None:
    with (
        open_storage(tmp_path, None),
        pytest.raises(UsageError, match="being tuned by another process"),
        open_storage(tmp_path, None),
    ):
        pass


@pytest.mark.parametrize(
    ("url", "jobs", "error", "message"),
    [
        ("sqlite:///s.db", 2, UsageError, "it loses trials.*journal file.*postgresql"),
        ("mysql://here/s", 1, UsageError, "postgresql://… or sqlite"),
        ("postgresql://nobody:secret@127.0.0.1:1/s", 1, StorageError, "cannot be reached"),
    ],
)
def test_a_storage_that_cannot_be_used_is_refused_with_the_reason(
    tmp_path: Path, url: str, jobs: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as raised, open_storage(tmp_path, url, jobs):
        pass
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_sqlite_serves_a_single_worker(tmp_path: Path) -> None:
    with open_storage(tmp_path, f"sqlite:///{tmp_path}/s.db") as storage, storage.lock():
        study = optuna.create_study(storage=storage.backend, study_name="s")
        study.ask()
    assert len(study.trials) == 1


def test_a_journal_is_plain_optuna(tmp_path: Path) -> None:
    path = journal(tmp_path)
    assert all(json.loads(line)["op_code"] >= 0 for line in path.read_text().splitlines())
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    assert len(optuna.storages.JournalStorage(backend).get_all_studies()) == 1


def test_warnings_are_as_before_after_a_study(tmp_path: Path) -> None:
    before = list(warnings.filters)
    journal(tmp_path)
    assert list(warnings.filters) == before


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://hw4:s3cret@localhost:54x/hw4",
        "postgresql://hw4:s3cret@[::1/hw4",
        "postgresql:hw4:s3cret",
        "postgresql+asyncpg://hw4:s3cret@localhost:1/hw4",
        "mysql://hw4:s3cret@localhost/hw4",
        "s3cret@localhost",
        "sqlite:",
        "",
    ],
)
def test_a_mangled_address_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError) as raised, open_storage(tmp_path / "study", url):
        pass
    assert raised.value.parameter == "storage"
    assert "s3cret" not in str(raised.value)


def test_reading_a_study_creates_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/typo.db"
    reading = read_storage(tmp_path / "study", url)
    with pytest.raises(UsageError, match="there is no study on sqlite"), reading:
        pass
    assert not list(tmp_path.iterdir())
    (tmp_path / "typo.db").touch()
    reading = read_storage(tmp_path / "study", url)
    with pytest.raises(UsageError, match="there is no study on sqlite"), reading:
        pass
    assert (tmp_path / "typo.db").stat().st_size == 0


def test_tables_of_another_optuna_are_refused_in_a_line(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    optuna.create_study(study_name="x", storage=url)
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
        connection.execute("UPDATE version_info SET library_version = '2.10.1'")
    connection.close()
    for opened in (open_storage(tmp_path, url), read_storage(tmp_path, url)):
        with pytest.raises(StorageError, match="another version of Optuna; run `optuna"), opened:
            pass
