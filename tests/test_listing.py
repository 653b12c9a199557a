"""Scores come in from whatever a competitor has at hand."""

from pathlib import Path

import pytest

from kaggle_hw4.errors import DataError
from kaggle_hw4.kaggle.listing import Listed, read_listing
from kaggle_hw4.workspace import shipped

CLIENT = """Warning: Looks like you're using an outdated API Version
ref,fileName,date,description,status,publicScore,privateScore
3,output_Boss_V3.csv,2022-04-03 12:00:00.123000,"three, with
a second line",SubmissionStatus.COMPLETE,0.75775,0.75825
2,output_Boss_V2.csv,2022-04-02 12:00:00,,SubmissionStatus.PENDING,,
1,bad.csv,2022-04-01 12:00:00,,SubmissionStatus.ERROR,,
"""
PAGE = """Submission and Description
Private Score
Public Score
Selected

output_Boss_V3.csv
Complete (after deadline) · 3y ago · boss, 0.9 in validation

0.75825
0.75775

output_Boss_V2.csv\tComplete · 2d ago\t0.74800\t0.75075
bad.csv
Error · 1d ago
new.csv
Complete · now
0.5
"""


def listed(tmp_path: Path, text: str) -> list[Listed]:
    (tmp_path / "scores.txt").write_text(text)
    return read_listing(tmp_path / "scores.txt")


def test_the_clients_listing_with_newlines_commas_and_empty_scores(tmp_path: Path) -> None:
    first, second, third = listed(tmp_path, CLIENT)
    assert (first.file, first.public, first.private) == ("output_Boss_V3.csv", 0.75775, 0.75825)
    assert (first.ref, first.date) == ("3", "2022-04-03T12:00:00")
    assert first.message == "three, with\na second line"
    assert (second.status, second.public, third.status) == ("pending", None, "error")


def test_a_copy_of_the_web_page_has_the_private_score_first(tmp_path: Path) -> None:
    rows = listed(tmp_path, PAGE)
    assert [(row.file, row.public, row.private) for row in rows] == [
        ("output_Boss_V3.csv", 0.75775, 0.75825),
        ("output_Boss_V2.csv", 0.75075, 0.748),
        ("bad.csv", None, None),
        ("new.csv", 0.5, None),
    ]
    assert [row.status for row in rows] == ["complete", "complete", "error", "complete"]


@pytest.mark.parametrize(
    "text",
    [
        "file,private,public\nBoss_V3,0.75825,0.75775\n",
        "Boss_V3,0.75825,0.75775\n",
        "\ufeffPublic,File,Private\n0.75775,Boss_V3,0.75825\n",
        "file,public,private,who\nBoss_V3,0.75775,0.75825,anna\n",
    ],
)
def test_a_plain_list_with_or_without_a_header(tmp_path: Path, text: str) -> None:
    assert listed(tmp_path, text) == [Listed("Boss_V3", 0.75775, 0.75825)]


@pytest.mark.parametrize("text", ["", "hello", "a,b\n", "x,y,z\n", "Boss_V3,75.8,75.7\n"])
def test_a_file_without_scores_is_answered_with_the_known_formats(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(DataError, match="lines of file,private,public"):
        listed(tmp_path, text)


def test_the_shipped_example_holds_the_five_past_scores() -> None:
    rows = {
        row.file: (row.public, row.private)
        for row in read_listing(shipped("examples/past_scores.csv"))
    }
    assert len(rows) == 5
    assert rows["output_Strong_V1.csv"] == (0.78825, 0.78275)
    assert rows["output_Midium_V3.1.csv"] == (0.7445, 0.7405)
