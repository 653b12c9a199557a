"""Downloads through the real Kaggle client, over a real socket, from a local server."""

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from kaggle_hw4.data.archive import unpack
from kaggle_hw4.errors import BoardError, DataError, UsageError
from kaggle_hw4.kaggle.client import _check_space, _work_folder, download
from tests.kaggle_board import Board, credentials, needs_kaggle, surroundings

MIB = 2**20  # the client keeps what it has got of a file in steps of this
DATASET = {"Dataset/metadata.json": b"{}", "Dataset/uttr-1.pt": os.urandom(3 * MIB)}
DOWNLOAD = """
import sys
from pathlib import Path
from kaggle_hw4.errors import Hw4Error
from kaggle_hw4.kaggle.client import download
try:
    sizes = []
    dataset = download(Path(sys.argv[1]), progress=lambda *size: sizes.append(size), retries=1)
    print(dataset, *sizes[-1:])
except Hw4Error as error:
    print(error)
    sys.exit(error.exit_code)
"""


def zipped(files: dict[str, bytes]) -> bytes:
    corpus = io.BytesIO()
    with zipfile.ZipFile(corpus, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return corpus.getvalue()


def tarred(*entries: tuple[str, bytes, bytes]) -> bytes:
    """A .tar.gz of entries (name, type, content or target)."""
    corpus = io.BytesIO()
    with tarfile.open(fileobj=corpus, mode="w:gz") as archive:
        for name, kind, content in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.size = kind, content.decode("latin-1"), 0
            if kind == tarfile.REGTYPE:
                entry.linkname, entry.size = "", len(content)
            archive.addfile(entry, io.BytesIO(content))
    return corpus.getvalue()


@pytest.fixture
def board(board: Board) -> Board:
    board.archive = zipped(DATASET)
    return board


def run(into: Path, port: int, **more: str) -> tuple[int, str]:
    """`download` in a process of its own, since the client reads its surroundings on import."""
    done = subprocess.run(
        [sys.executable, "-c", DOWNLOAD, str(into)],
        env=surroundings(into, port) | (more or credentials),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not done.stderr, done.stderr
    assert done.stdout.count("\n") == 1, done.stdout
    return done.returncode, done.stdout


@needs_kaggle
def test_a_download_becomes_the_dataset_and_leaves_nothing_else(
    tmp_path: Path, board: Board
) -> None:
    code, output = run(tmp_path, board.server_port)
    size = len(board.archive)
    assert (code, output) == (0, f"{tmp_path / 'Dataset'} ({size}, {size})\n")
    assert {p.name: p.read_bytes() for p in (tmp_path / "Dataset").iterdir()} == {
        Path(name).name: content for name, content in DATASET.items()
    }
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".lock"] == ["Dataset"]


@needs_kaggle
def test_a_download_of_a_size_that_nobody_said_is_kept(tmp_path: Path, board: Board) -> None:
    board.says_size = False
    size = len(board.archive)
    assert run(tmp_path, board.server_port) == (0, f"{tmp_path / 'Dataset'} ({size}, None)\n")


@needs_kaggle
def test_a_token_is_as_good_as_a_key(tmp_path: Path, board: Board) -> None:
    assert run(tmp_path, board.server_port, KAGGLE_API_TOKEN="KGAT_1")[0] == 0
    board.active = False
    code, output = run(tmp_path / "other", board.server_port, KAGGLE_API_TOKEN="KGAT_1")
    assert code == 5
    assert "not valid" in output


@needs_kaggle
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "KAGGLE_API_TOKEN"),
        (403, "accept its rules at https://www.kaggle.com/competitions/ml2022spring-hw4/rules"),
        (404, "look whether"),
        (429, "wait a few minutes"),
        (500, "try again later"),
        (0, "check the network"),
    ],
)
def test_a_refusal_is_explained(tmp_path: Path, board: Board, status: int, words: str) -> None:
    board.status, board.message = status, "You must accept\nthis."
    code, output = run(tmp_path, board.server_port)
    assert code == 5
    assert words in output
    assert ("You must accept this." in output) == (status > 0)
    assert not (tmp_path / "Dataset").exists()


@needs_kaggle
def test_without_credentials_it_says_where_to_put_them(tmp_path: Path, board: Board) -> None:
    code, output = run(tmp_path, board.server_port, KAGGLE_USERNAME="anna")
    assert code == 5
    assert "https://www.kaggle.com/settings/api" in output


@needs_kaggle
def test_without_a_network_it_says_so(tmp_path: Path) -> None:
    code, output = run(tmp_path, 1)
    assert (code, output.split("(")[0]) == (5, "Kaggle cannot be reached, or the connection broke ")


@needs_kaggle
def test_a_broken_download_resumes_where_it_stopped(tmp_path: Path, board: Board) -> None:
    board.cuts = [MIB + 9, 2 * MIB + 9]  # of the first run: its download and its only retry
    code, output = run(tmp_path, board.server_port)
    assert code == 5
    assert "run the same command again" in output
    assert run(tmp_path, board.server_port)[0] == 0
    assert board.ranges == [None, f"bytes={MIB}-", None, f"bytes={2 * MIB}-"]
    assert (tmp_path / "Dataset" / "uttr-1.pt").read_bytes() == DATASET["Dataset/uttr-1.pt"]


@needs_kaggle
def test_a_download_stopped_while_unpacking_is_not_fetched_again(
    tmp_path: Path, board: Board
) -> None:
    whole = zipped(DATASET | {"Dataset/metadata.json": b"[]"})
    (tmp_path / ".ml2022spring-hw4.partial" / "files").mkdir(parents=True)
    (tmp_path / ".ml2022spring-hw4.partial" / "archive").write_bytes(whole)
    assert run(tmp_path, board.server_port) == (0, f"{tmp_path / 'Dataset'}\n")
    assert (tmp_path / "Dataset" / "metadata.json").read_bytes() == b"[]"


@needs_kaggle
def test_an_archive_in_parts_inside_the_archive_is_found(tmp_path: Path, board: Board) -> None:
    inner = tarred(*[(name, tarfile.REGTYPE, content) for name, content in DATASET.items()])
    parts = {"Dataset.tar.gz.partaa": inner[:9000], "Dataset.tar.gz.partab": inner[9000:]}
    board.archive = zipped(parts | {"sample.csv": b"Id,Category\n"})
    assert run(tmp_path, board.server_port)[0] == 0
    assert (tmp_path / "Dataset" / "uttr-1.pt").stat().st_size == 3 * MIB


@needs_kaggle
@pytest.mark.parametrize("content", [zipped({"../x": b""}), zipped({"a.csv": b""}), b"<html>"])
def test_a_useless_archive_is_not_kept(tmp_path: Path, board: Board, content: bytes) -> None:
    board.archive = content
    assert run(tmp_path, board.server_port)[0] == 4
    assert not (tmp_path / "Dataset").exists()
    board.archive = zipped(DATASET)
    assert run(tmp_path, board.server_port)[0] == 0


def test_a_dataset_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "Dataset").mkdir()
    with pytest.raises(UsageError, match="already there"):
        download(tmp_path)


def test_a_dataset_for_which_the_disk_has_no_room_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="GB free, the dataset needs 3000000000.0 GB; make room"):
        _check_space(tmp_path, 10**18)
    _check_space(tmp_path, MIB)


def test_a_download_may_go_to_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    with _work_folder(tmp_path / "a" / "new", "ml2022spring-hw4") as folder:
        assert folder.is_dir()
        with (
            pytest.raises(UsageError, match="another download"),
            _work_folder(tmp_path / "a" / "new", "ml2022spring-hw4"),
        ):
            pass


def test_without_the_extra_it_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kaggle", None)
    with pytest.raises(BoardError, match=r"pip install 'kaggle_hw4\[kaggle\]'"):
        download(tmp_path)


FILE = tarfile.REGTYPE
LINK = zipfile.ZipInfo("link")
LINK.external_attr = 0o120777 << 16
HOSTILE = {
    "parent.zip": zipped({"../x": b"x"}),
    "deep.zip": zipped({"a/../../x": b"x"}),
    "root.zip": zipped({"/tmp/x": b"x"}),
    "windows.zip": zipped({"..\\x": b"x"}),
    "drive.zip": zipped({"C:x": b"x"}),
    "link.zip": zipped({LINK: b"/etc/passwd"}),  # type: ignore[dict-item]
    "parent.tar.gz": tarred(("../x", FILE, b"x")),
    "root.tar.gz": tarred(("/tmp/x", FILE, b"x")),
    "link.tar.gz": tarred(("a", tarfile.SYMTYPE, b"/etc"), ("a/x", FILE, b"x")),
    "hard.tar.gz": tarred(("a", tarfile.LNKTYPE, b"/etc/passwd")),
    "device.tar.gz": tarred(("a", tarfile.CHRTYPE, b"")),
    "pipe.tar.gz": tarred(("a", tarfile.FIFOTYPE, b"")),
    "twice.tar.gz": tarred(("a", FILE, b"x"), ("a", FILE, b"y")),
    "cut.tar.gz": tarred(("a", FILE, os.urandom(10_000)))[:5000],
    "cut.zip": zipped(DATASET)[:-9],
    "flipped.zip": zipped(DATASET).replace(DATASET["Dataset/uttr-1.pt"][:9], b"flipped!!"),
    "not.zip": b"hello",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_or_broken_archive_leaves_nothing(tmp_path: Path, name: str) -> None:
    archive = tmp_path / name
    archive.write_bytes(HOSTILE[name])
    with pytest.raises(DataError, match=name):
        unpack(archive, tmp_path / "inside" / "out")
    assert not list((tmp_path / "inside").iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {name, "inside"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_decompression_bomb_is_refused(tmp_path: Path, kind: str) -> None:
    zeros = bytes(70 * 2**20)
    archive = tmp_path / "bomb"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bomb:
            bomb.writestr("a", zeros)
    else:
        archive.write_bytes(tarred(("a", FILE, zeros)))
    with pytest.raises(DataError, match="unpacks to more than 64 MiB"):
        unpack(archive, tmp_path / "out")


def test_a_good_archive_is_unpacked_to_a_new_folder(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(DATASET | {"empty/": b""}))
    out = unpack(tmp_path / "a.zip", tmp_path / "out")
    assert (out / "Dataset" / "uttr-1.pt").read_bytes() == DATASET["Dataset/uttr-1.pt"]
    with pytest.raises(UsageError, match="exists already"):
        unpack(tmp_path / "a.zip", out)
