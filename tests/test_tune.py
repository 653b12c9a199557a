"""hw4 tune, with real trainings in real processes: killed, stopped, resumed, finished once."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kaggle_hw4.cli import main
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds, write_folds
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.tuning.journal import JOURNAL
from kaggle_hw4.tuning.server import noted_address
from tests.conftest import TINY

SPACE = """
[networks.n_heads]
type = "categorical"
choices = [2, 4]

[networks.d_model]
type = "int"
low = 8
high = 24
multiple_of = "networks.n_heads"

[optimizer.learning_rate]
type = "float"
low = 2e-4
high = 5e-2
log = true
"""
STEPS = ("schedule.steps=18", "loss.margin_warmup_steps=0")
SETTINGS = [part for setting in (*TINY, *STEPS) for part in ("-s", setting)]
TUNE = ("tune", "--variant", "boss", *SETTINGS)


@pytest.fixture
def workspace(
    corpus: Corpus, folds: Folds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A workspace with a corpus, a fold table and a space."""
    root = tmp_path / "workspace"
    shutil.copytree(corpus.folder, root / "packed")
    write_folds(root / "folds", folds, corpus)
    (root / "studies" / "spaces").mkdir(parents=True)
    (root / "studies" / "spaces" / "boss.toml").write_text(SPACE)
    monkeypatch.setenv("HW4_WORKSPACE", str(root))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return root


def run(*arguments: str) -> int:
    try:
        main([str(a) for a in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kaggle_hw4", *TUNE, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finishes(workspace: Path) -> Counter[int]:
    """How often each trial (by its id) finished, from the journal's own lines."""
    path = workspace / "studies" / "boss" / JOURNAL
    lines = [json.loads(x) for x in path.read_text().splitlines()] if path.exists() else []
    return Counter(x["trial_id"] for x in lines if x["op_code"] == 6 and x["state"] in (1, 2, 3))


def workers(coordinator: int) -> list[int]:
    children = Path(f"/proc/{coordinator}/task/{coordinator}/children")
    return [int(pid) for pid in children.read_text().split()] if children.exists() else []


def until(observations: Iterator[object], what: str) -> None:
    limit = time.monotonic() + 120
    for observation in observations:
        if observation:
            return
        assert time.monotonic() < limit, f"waited in vain for {what}"
        time.sleep(0.1)


def repeatedly(look: Callable[[], object]) -> Iterator[object]:
    while True:
        yield look()


def test_a_study_ends_in_a_tuned_variant(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*TUNE, "--trials", "2", "--finalists", "1", "--jobs", "2", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["trials"]["finished"] == 2
    assert summary["best"][0]["params"].keys() == {
        "networks.n_heads",
        "networks.d_model",
        "optimizer.learning_rate",
    }
    rows = summary["finals"]["candidates"]
    assert [row["n"] for row in rows] == [2] * len(rows)
    assert any(row["baseline"] for row in rows)
    assert len(list(workspace.glob("studies/boss/runs/*/*/run.json"))) == 2 * len(rows)
    assert not (workspace / "runs").exists(), "an ensemble of runs/* blends no finals"
    assert set(summary["runs"]) == {str(row["trial"]) for row in rows}
    for folder in summary["runs"].values():
        assert run("predict", folder) == run("ensemble", folder, "--dry-run") == 0
    assert run("runs", "clean", "--yes") == run("doctor") == 0
    capsys.readouterr()
    if summary["finals"]["variant"]:
        tuned = read_recipe(Path(summary["finals"]["variant"]))
        winner = next(b for b in summary["best"] if b["trial"] == rows[0]["trial"])
        assert tuned.networks[0].d_model == winner["params"]["networks.d_model"]
    assert run("tune", "show", "boss") == 0
    shown = capsys.readouterr().out
    assert "2 trials finished" in shown
    for trial, folder in summary["runs"].items():
        assert f"runs of trial {trial}: {folder}" in shown


def test_a_dry_run_measures_and_leaves_nothing(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*TUNE, "--dry-run", "--json") == 0
    cost = json.loads(capsys.readouterr().out)
    assert cost["total"] == pytest.approx(cost["search"] + cost["finals"])
    assert 0 < cost["step"] < cost["trial"] < cost["search"]
    assert 0.3 < cost["trained_share"] < 1
    assert sorted(p.name for p in (workspace / "studies").iterdir()) == ["spaces"]


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (("tune",), 2, "--variant is missing; hw4 tune --variant boss"),
        ((*TUNE, "--objective", "luck"), 2, "one of session, utterance, logloss"),
        (
            (*TUNE, "--objective", "utterance"),
            4,
            "needs a fold table by utterance; make one with `hw4 split`",
        ),
        ((*TUNE, "--fold", "2"), 2, "has 0 to 1"),
        ((*TUNE, "--space", "bos"), 3, "there is no space 'bos'"),
        ((*TUNE, "--storage", "sqlite:///s.db", "--jobs", "2"), 2, "loses trials"),
        (
            (*TUNE, "-s", "networks.d_model=48"),
            3,
            "boss.toml: the variant's networks.d_model = 48 lies outside",
        ),
        (("tune", "show", "boss"), 2, "there is no study 'boss'"),
        ((*TUNE, "--study", "../../x"), 2, "--study: '../../x' cannot name a study"),
        ((*TUNE, "--study", "/tmp/x"), 2, "'/tmp/x' cannot name a study"),
        ((*TUNE, "--study", "Spaces"), 2, "--study: studies/Spaces holds the search spaces"),
        ((*TUNE, "--study", ".."), 2, "'..' cannot name a study"),
        ((*TUNE, "--study", "a\nb"), 2, "'a\\nb' cannot name a study"),
        (("tune", "show", "../packed"), 2, "'../packed' cannot name a study"),
    ],
)
def test_a_mistake_is_reported_in_one_line_with_its_exit_code(
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    assert run(*command) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_a_trial_that_fails_by_itself_does_not_end_the_study(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = workspace / "studies" / "spaces" / "boss.toml"
    space.write_text(
        SPACE.replace("high = 5e-2", "high = 1e30").replace("low = 2e-4", "low = 1e-3")
    )
    assert run(*TUNE, "--trials", "4", "--finalists", "1", "--jobs", "2", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["trials"]["finished"] == 4
    assert summary["trials"]["failed"] >= 1
    assert all("diverged" in failure["reason"] for failure in summary["failures"])


def test_a_full_disk_is_reported_in_one_line_that_says_how_to_resume(workspace: Path) -> None:
    command = [sys.executable, "-m", "kaggle_hw4", *TUNE, "--trials", "1"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)),
    )
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    assert "the same command" in done.stderr


@pytest.mark.slow
def test_kills_of_coordinator_and_worker_lose_no_trial(workspace: Path) -> None:
    total, arguments = 6, ("--finalists", "1", "--jobs", "2", "--json", "--trials")
    first = start(*arguments, "4")
    until(repeatedly(lambda: len(finishes(workspace)) >= 1), "a trial")
    until(repeatedly(lambda: workers(first.pid)), "a worker")
    first.kill()
    first.communicate()
    second = start(*arguments, "6")  # widened meanwhile
    until(repeatedly(lambda: workers(second.pid)), "a worker")
    for pid in workers(second.pid)[:1]:
        os.kill(pid, signal.SIGKILL)
    output, error = second.communicate()
    assert second.returncode == 0, error
    trials = json.loads(output)["trials"]
    assert trials["finished"] == trials["complete"] + trials["pruned"] == total
    assert (trials["running"], trials["waiting"], trials["failed"]) == (0, 0, 0)
    assert trials["retried"] == 1, "a kill of the coordinator is no crash of its trial"
    assert set(finishes(workspace).values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_ends_the_workers_and_says_how_to_resume(
    workspace: Path, number: int, code: int
) -> None:
    process = start("--trials", "3")
    until(repeatedly(lambda: workers(process.pid)), "a worker")
    [worker] = workers(process.pid)
    process.send_signal(number)
    _, error = process.communicate()
    assert process.returncode == code
    assert error == "hw4: study boss stopped; the same command resumes it\n"
    assert not Path(f"/proc/{worker}").exists()
    lines = (workspace / "studies" / "boss" / JOURNAL).read_text().splitlines()
    assert json.loads(lines[-1])["state"] == 4, "it waits to be resumed: a stop is not a failure"


@pytest.mark.slow
def test_a_study_on_a_server_leaves_its_address_in_the_workspace(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    assert run(*TUNE, "--trials", "1", "--finalists", "1", "--storage", url) == 0
    assert noted_address(workspace / "studies" / "boss") == url
    assert f"next: hw4 tune show boss --storage {url}" in capsys.readouterr().err
