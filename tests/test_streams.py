"""With a standard stream closed or full, a command works and its exit code stays."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHOW = "leaderboard show"
IMPORT = f"leaderboard import {ROOT}/examples/past_scores.csv"


def shell(workspace: Path, command: str, redirection: str) -> subprocess.CompletedProcess[str]:
    line = f"{sys.executable} -m kaggle_hw4 --workspace {workspace} {command} {redirection}"
    return subprocess.run(["sh", "-c", line], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-", "2>/dev/full"])
@pytest.mark.parametrize(
    ("command", "code"), [(f"{IMPORT} --json", 0), (IMPORT, 0), (f"{IMPORT}.gone", 4)]
)
def test_a_closed_stream_changes_no_exit_code(
    tmp_path: Path, closed: str, command: str, code: int
) -> None:
    done = shell(tmp_path, command, closed)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    written = {path.name for path in (tmp_path / "submissions").glob("[!.]*")}
    assert written == ({"ledger.jsonl"} if code == 0 else set())
    if code == 0:  # nothing that was meant for the closed stream is in the file
        lines = (tmp_path / "submissions" / "ledger.jsonl").read_text().splitlines()
        assert all(line.startswith('{"format"') for line in lines)


@pytest.mark.parametrize("command", [SHOW, f"{SHOW} --json", "--version"])
def test_a_full_disk_behind_stdout_is_one_line_and_exit_code_4(
    tmp_path: Path, command: str
) -> None:
    shell(tmp_path, IMPORT, "")
    done = shell(tmp_path, command, ">/dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "No space left on device" in done.stderr


def test_a_reader_that_leaves_ends_the_command_in_silence(tmp_path: Path) -> None:
    done = shell(tmp_path, f"{IMPORT} --json", "2>&1 | true")
    assert done.stdout == ""
