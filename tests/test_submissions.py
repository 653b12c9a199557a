"""Every submission has a version of its own, and every wrong row is named."""

import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from kaggle_hw4.artifact import sha256_file, write_text
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.kaggle.events import Created
from kaggle_hw4.kaggle.ledger import Ledger
from kaggle_hw4.kaggle.submissions import check_submission, read_submission, write_submission

IDS = [f"uttr-{n}.pt" for n in range(8)]
SPEAKERS = ["id00001", "id00002"] * 4
GOOD = "Id,Category\n" + "".join(f"{i},{s}\n" for i, s in zip(IDS, SPEAKERS, strict=True))


def write(folder: Path, label: str = "Boss") -> str:
    return write_submission(folder, label, IDS, SPEAKERS).version


def check(folder: Path, content: str | bytes) -> list[str]:
    path = folder / "output_Boss_V1.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return check_submission(path, IDS, set(SPEAKERS))


def test_a_submission_is_written_to_the_byte(tmp_path: Path) -> None:
    written = write_submission(tmp_path / "submissions", "Strong+Boss", IDS, SPEAKERS)
    assert written.path == tmp_path / "submissions" / "output_Strong+Boss_V1.csv"
    assert written.path.read_bytes() == GOOD.encode()
    assert (written.version, written.sha256) == ("Strong+Boss_V1", sha256_file(written.path))
    assert read_submission(written.path) == list(zip(IDS, SPEAKERS, strict=True))
    assert check_submission(written.path, IDS, set(SPEAKERS)) == []


def test_versions_count_up_for_each_label(tmp_path: Path) -> None:
    assert [write(tmp_path), write(tmp_path), write(tmp_path, "Strong")] == [
        "Boss_V1",
        "Boss_V2",
        "Strong_V1",
    ]


def test_a_version_is_never_reused_even_after_its_file_is_gone(tmp_path: Path) -> None:
    for _ in range(2):
        Ledger(tmp_path).append(Created(version=write(tmp_path)))
    for path in tmp_path.glob("output_*"):
        path.unlink()
    assert write(tmp_path) == "Boss_V3"


def test_names_given_by_hand_count_too(tmp_path: Path) -> None:
    (tmp_path / "output_Boss_V7_Manual.csv").touch()
    (tmp_path / "output_boss_V9.csv").touch()  # the same file as Boss_V9 on some disks
    assert write(tmp_path) == "Boss_V10"


@pytest.mark.parametrize("number", [999_999_999, 10**9, 12_345_678_901, 10**30])
def test_a_version_of_ten_digits_and_more_is_read_whole(tmp_path: Path, number: int) -> None:
    (tmp_path / f"output_Boss_V{number}.csv").touch()
    assert [write(tmp_path), write(tmp_path)] == [f"Boss_V{number + n}" for n in (1, 2)]


def test_a_number_that_can_name_no_file_is_no_version(tmp_path: Path) -> None:
    Ledger(tmp_path).append(Created(version="Boss_V" + "9" * 5000))
    assert write(tmp_path) == "Boss_V1"


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "output_Boss_V1.csv"
    write_text(path, "first", replace=False)
    with pytest.raises(FileExistsError):
        write_text(path, "second", replace=False)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(path.name, "first")]


def test_eight_processes_never_get_the_same_version(tmp_path: Path) -> None:
    with ProcessPoolExecutor(8) as pool:
        versions = list(pool.map(write, [tmp_path] * 24))
    assert sorted(versions) == sorted(f"Boss_V{n}" for n in range(1, 25))
    assert len(list(tmp_path.glob("output_*.csv"))) == 24


def test_a_kill_at_any_moment_leaves_no_half_written_file(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from kaggle_hw4.kaggle.submissions import write_submission\n"
        "ids = [f'uttr-{n}.pt' for n in range(8000)]\n"
        "while True: write_submission(Path(sys.argv[1]), 'Boss', ids, ['id00001'] * 8000)"
    )
    for wait in (0.0, 0.013, 0.031):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
        before = len(list(tmp_path.glob("output_*.csv")))
        while len(list(tmp_path.glob("output_*.csv"))) < before + 2:
            time.sleep(0.005)
        time.sleep(wait)
        process.kill()
        process.wait()
    written = [read_submission(path) for path in tmp_path.glob("output_*.csv")]
    assert {len(rows) for rows in written} == {8000}
    assert len(written) >= 6


@pytest.mark.parametrize("label", ["", "a/b", "../x", "a b", "Boß", "x\n"])
def test_a_label_that_cannot_name_a_file_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(UsageError, match="letters, digits"):
        write(tmp_path, label)
    assert not list(tmp_path.iterdir())


def test_ids_and_speakers_of_different_number_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zip"):
        write_submission(tmp_path, "Boss", IDS, SPEAKERS[:-1])
    assert not list(tmp_path.glob("output_*"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("Id,Category", "id,category"), "row 1: found 'id,category', expected 'Id,Category'"),
        (("Id,", "\ufeffId,"), "row 1: found '\\ufeffId,Category' (a byte order mark before it)"),
        ((f"{IDS[2]},id00001\n", ""), "found 7 rows after the header, expected 8"),
        ((f"{IDS[2]},id00001\n", ""), f"Id '{IDS[2]}' is missing, expected in row 4"),
        ((IDS[2], "uttr-x.pt"), "row 4: found Id 'uttr-x.pt', expected one of the test set"),
        ((IDS[2], IDS[1]), f"row 4: found Id '{IDS[1]}' again, it is in row 3 too"),
        ((f"{IDS[0]},id00001", f"{IDS[0]},id1"), "row 2: found Category 'id1', expected one of"),
        ((f"{IDS[0]},id00001", IDS[0]), f"row 2: found '{IDS[0]}', expected an Id and a Category"),
        ((f"{IDS[7]},id00002\n", f"{IDS[7]},id00002\n\n"), "row 10: found '', expected an Id"),
        ((f"{IDS[7]},id00002", f"{IDS[7]},id00002,x"), "row 9: found"),
    ],
)
def test_each_problem_is_named_with_its_row(
    tmp_path: Path, change: tuple[str, str], problem: str
) -> None:
    problems = check(tmp_path, GOOD.replace(*change))
    assert [line for line in problems if line.startswith(problem)]
    assert all("\n" not in line for line in problems)


def test_rows_out_of_order_are_not_called_missing(tmp_path: Path) -> None:
    header, *rows = GOOD.splitlines()
    problems = check(tmp_path, "\n".join([header, *rows[::-1]]))
    assert problems[0] == f"row 2: found Id '{IDS[7]}', expected '{IDS[0]}'"
    assert problems[-1] == "… and 3 more rows like that"


@pytest.mark.parametrize("content", [GOOD.encode("utf-16"), b"", b'Id,Category\n"a', b"\x00\xff"])
def test_files_that_are_no_tables_are_explained(tmp_path: Path, content: bytes) -> None:
    assert check(tmp_path, content)
    with pytest.raises(DataError):
        read_submission(tmp_path / "output_Boss_V1.csv")


def test_a_file_with_windows_line_ends_is_valid(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD.replace("\n", "\r\n")) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "missing" in check_submission(tmp_path / "no.csv", IDS, SPEAKERS)[0]
