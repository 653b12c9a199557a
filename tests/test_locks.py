"""What a network or FUSE disk refuses stops nothing; what an error concerns is named."""

import errno
import fcntl
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kaggle_hw4 import locks
from kaggle_hw4.artifact import new_directory, write_text
from kaggle_hw4.cli import main
from kaggle_hw4.locks import Timeout, locked
from kaggle_hw4.tuning.journal import Journal

HOLD = """
import sys, fcntl, pathlib
def flock(*_): raise OSError({code}, "refused")
fcntl.flock = flock
from kaggle_hw4.locks import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=[errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def no_flock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    def flock(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)
    return int(request.param)


def test_a_lock_holds_without_flock_and_ends_with_its_process(
    no_flock: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", HOLD.format(code=no_flock), str(tmp_path / ".lock")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Timeout), locked(tmp_path / ".lock", 0):
            pass
        other.kill()
    with locked(tmp_path / ".lock", 10):
        pass


def test_a_lock_holds_with_flock(tmp_path: Path) -> None:
    with locked(tmp_path / ".lock"), pytest.raises(Timeout), locked(tmp_path / ".lock", 0):
        pass
    with locked(tmp_path / ".lock", 0):
        assert not (tmp_path / ".lock.soft").exists()


def test_a_disk_that_syncs_no_folder_and_changes_no_mode_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EINVAL, "refused")

    for name in ("fsync", "chmod", "fchmod"):
        monkeypatch.setattr(os, name, refuse)
    write_text(tmp_path / "a", "text")
    with new_directory(tmp_path / "b") as folder, locked(folder / ".lock"):
        write_text(folder / "c", "text")
    assert (tmp_path / "b" / "c").read_text() == (tmp_path / "a").read_text() == "text"


def test_a_journal_needs_no_symbolic_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import optuna

    monkeypatch.delattr(os, "symlink")
    study = optuna.create_study(storage=Journal(tmp_path / "journal.log").backend)
    assert study.ask().number == 0


@pytest.mark.parametrize("umask", [0o077, 0o002, 0o022])
def test_files_and_locks_honour_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "file", "text")
        with locked(tmp_path / ".lock"), new_directory(tmp_path / "folder") as folder:
            write_text(folder / "inner", "text")
    finally:
        os.umask(before)
    for name in ("file", ".lock", "folder/inner"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777 & ~umask


def test_a_full_disk_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left") as raised:
        write_text(tmp_path / "file", "text")
    assert raised.value.filename == str(tmp_path / "file")
    assert not list(tmp_path.iterdir())
    with pytest.raises(SystemExit) as ended:
        main(["data", "synth", str(tmp_path / "corpus"), "--speakers", "2", "--frames", "91"])
    assert ended.value.code == 4
    [line] = [text for text in capsys.readouterr().err.splitlines() if "No space" in text]
    assert line.startswith(f"hw4: {tmp_path}")


@pytest.mark.parametrize("flags", ["rw,nolock", "rw,vers=3,local_lock=all", "rw,localflock"])
def test_where_flock_holds_on_one_machine_only_a_lease_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str
) -> None:
    folder = tmp_path / "a disk"
    folder.mkdir()
    mounts = tmp_path / "mounts"
    mount = str(folder).replace(" ", r"\040")
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/home {mount} nfs {flags} 0 0\n")
    monkeypatch.setattr(locks, "MOUNTS", mounts)
    for place, leased in ((folder, True), (tmp_path, False)):
        with locked(place / ".lock"), pytest.raises(Timeout), locked(place / ".lock", 0):
            pass
        with locked(place / ".lock", 0):
            assert (place / ".lock.soft").exists() == leased


def test_a_lease_of_a_machine_that_was_lost_is_free_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_flock: int
) -> None:
    monkeypatch.setattr(locks, "LEASE", 1.0)
    with locked(tmp_path / ".lock"):
        text = (tmp_path / ".lock.soft").read_text()
    assert not (tmp_path / ".lock.soft").exists()
    (tmp_path / ".lock.soft").write_text(text.replace(socket.gethostname(), "elsewhere"))
    with pytest.raises(Timeout), locked(tmp_path / ".lock", 0.2):
        pass
    with locked(tmp_path / ".lock", 30):
        pass
