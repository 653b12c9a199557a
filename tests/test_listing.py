"""Scores come in from whatever a competitor has at hand; what is ambiguous is named by its line."""

import random
from pathlib import Path

import pytest

from kaggle_hw4.errors import DataError
from kaggle_hw4.kaggle.cells import dates
from kaggle_hw4.kaggle.listing import Listed, Listing, number, read_listing
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
    return list(read_listing(tmp_path / "scores.txt").rows)


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
    assert [row.error for row in rows] == ["", "", "Error · 1d ago", ""]


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
        for row in read_listing(shipped("examples/past_scores.csv")).rows
    }
    assert len(rows) == 5
    assert rows["output_Strong_V1.csv"] == (0.78825, 0.78275)
    assert rows["output_Midium_V3.1.csv"] == (0.7445, 0.7405)


def whole(tmp_path: Path, text: str) -> Listing:
    (tmp_path / "scores.txt").write_text(text)
    return read_listing(tmp_path / "scores.txt")


ROW = ("output_Boss_V3.csv", 0.75775, 0.75825)


@pytest.mark.parametrize(
    "text",
    [
        "file\tpublic\tprivate\noutput_Boss_V3.csv\t0.75775\t0.75825\n",
        "Submission and Description\tPublic Score\tPrivate Score\n"
        "output_Boss_V3.csv\t0.75775\t0.75825",
        "Submission and Description\tPublic Score\tPrivate Score\n"
        "output_Boss_V3.csv\nComplete · 5d ago\n\n0.75775\n0.75825\n",
        "Submission and Description\nPublic Score\nPrivate Score\n"
        "output_Boss_V3.csv\nComplete · 5d ago · 0.9 alone\n\n0.75775\n0.75825\n",
        "sep=;\nfile;private;public;\noutput_Boss_V3.csv;0,75825;0,75775;\n;;;\n",
        "output_Boss_V3.csv;0,75825;0,75775\r\n",
        'file,private,public\noutput_Boss_V3.csv,"0,75825",.75775\n,,\n,,\n\n',
        "public score,File Name,private score\n0.75775,output_Boss_V3.csv,0.75825\n"
        "public score,File Name,private score\n",
    ],
)
def test_the_header_names_the_columns_whatever_separates_them(tmp_path: Path, text: str) -> None:
    listing = whole(tmp_path, text)
    assert [(row.file, row.public, row.private) for row in listing.rows] == [ROW]
    assert not listing.problems


def test_words_above_a_table_are_no_header(tmp_path: Path) -> None:
    for title in ("Submission", "Public score"):
        listing = whole(tmp_path, f"{title}\nfile,private,public\n{ROW[0]},0.75825,0.75775\n")
        assert [(row.file, row.public, row.private) for row in listing.rows] == [ROW]


def test_a_table_of_tabs_may_have_a_column_of_states(tmp_path: Path) -> None:
    text = "version\tstatus\tpublic\tprivate\nBoss_V3\tcomplete\t0.75775\t0.75825\n"
    assert listed(tmp_path, text) == [Listed("Boss_V3", 0.75775, 0.75825)]


@pytest.mark.parametrize(("text", "value"), [(None, None), ("", None), (" ", None), ("0.5", 0.5)])
def test_a_score_that_the_api_leaves_out_is_not_out_yet(
    text: str | None, value: float | None
) -> None:
    assert number(text) == value


def test_a_name_may_have_spaces_and_brackets(tmp_path: Path) -> None:
    text = "".join(
        f"{name}\nComplete · 5d ago\n\n0.7{i}\n0.8{i}\n\n"
        for i, name in enumerate(
            ("output (2).csv", "my [final] one.csv", "My notebook - Version 3")
        )
    )
    assert [(row.file, row.private, row.public) for row in whole(tmp_path, text).rows] == [
        ("output (2).csv", 0.70, 0.80),
        ("my [final] one.csv", 0.71, 0.81),
        ("My notebook - Version 3", 0.72, 0.82),
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_the_encodings_of_spreadsheets_and_shells(tmp_path: Path, encoding: str) -> None:
    text = CLIENT.replace("three", "三個模型").replace("\n", "\r\n")
    (tmp_path / "scores.csv").write_bytes(text.encode(encoding))
    first, *_ = read_listing(tmp_path / "scores.csv").rows
    assert (first.file, first.public, first.message[:4]) == (*ROW[:2], "三個模型")


def test_another_encoding_is_refused_with_the_line_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_bytes("file,private,public\n三個,0.7,0.8\n".encode("big5"))
    with pytest.raises(DataError, match=r"line 2 is not UTF-8; save it as UTF-8"):
        read_listing(tmp_path / "scores.csv")


HEADER = "file,private,public\na.csv,0.70,0.80\n"
PLACED = "a.csv\nComplete · 1d\n0.7\n0.8\n"  # on the copied page


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (HEADER + ",0.77050,0.77300\n", "line 3: no name"),
        (HEADER + "Average,0.77050,0.77300\n", "line 3: 'Average' is no submission"),
        (HEADER + "b.csv,75.8,0.8\n", "line 3: b.csv: '75.8' is no score"),
        (HEADER + "b.csv,0,75825,0,75775\n", "line 3: 5 cells, the header has 3"),
        (HEADER + "b.csv,0.8\n", "line 3: 2 cells, the header has 3"),
        (HEADER + "b.csv,inf,nan\n", "line 3: b.csv: 'inf' is no score"),
        (HEADER + "b.csv,,\n", "line 3: b.csv: no score"),
        (HEADER + '"b.csv,0.7,0.8\n', "line 3: no row of a table"),
        ("b.csv,0.7,0.8\n" + HEADER, "line 1: a row above the header"),
        ("a.csv,0.7,0.8\nb.csv,0.8\n", "line 2: not file,private,public"),
        ("0.9\n" + PLACED, "line 1: a score without"),
        (PLACED + "b.csv\nComplete · 2d\n0.9\n0.7\n0.8", "line 5: 3 numbers (lines 7, 8, 9)"),
        (PLACED + "see old.csv\n", "line 5: 'see old.csv' may be"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_submission_is_named_and_the_others_are_kept(
    tmp_path: Path, text: str, problem: str
) -> None:
    listing = whole(tmp_path, text)
    assert [row.file for row in listing.rows] == ["a.csv"]
    assert len(listing.problems) == 1
    assert listing.problems[0].startswith(problem)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("file,score", "line 1: the column score may be the public or the private one"),
        ("file,public,Public Score", "line 1: two columns are called public"),
    ],
)
def test_a_header_of_two_meanings_is_refused(tmp_path: Path, header: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        whole(tmp_path, header + "\na.csv,0.7,0.8\n")


@pytest.mark.parametrize(
    "date",
    [
        "2022-11-27 12:00:00", "2022-11-27T12:00:00.123Z", "2022/11/27 12:00", "11/27/2022 12:00",
        "27.11.2022 12:00", "27/11/2022 12:00:00", "11/27/22 12:00 PM", "2022/11/27 下午 12:00",
        "2022-11-27 20:00:00+08:00", "44892.5",
    ],
)  # fmt: skip
def test_a_date_is_read_as_spreadsheets_write_it(date: str) -> None:
    assert dates([date]) == ["2022-11-27T12:00:00"]


def test_a_date_that_may_be_two_is_unknown_unless_its_column_says_which() -> None:
    assert dates(["4/3/2022 12:00"]) == [""]
    assert dates(["4/3/2022", "4/13/2022"]) == ["2022-04-03T00:00:00", "2022-04-13T00:00:00"]
    assert dates(["4/3/2022", "13/4/2022"])[0] == "2022-03-04T00:00:00"
    assert dates(["4/3/2022", "13/4/2022", "4/13/2022"])[0] == ""
    assert dates(["3d ago", "30.02.2022", "", "2022-13-01", "1/1/2022 25:00"]) == [""] * 5


def test_the_last_second_of_a_day_is_one_and_later_ones_are_none() -> None:
    assert dates(["2022-11-27 23:59:59"]) == ["2022-11-27T23:59:59"]
    assert dates(["2022-11-27 11:59:59 PM"]) == ["2022-11-27T23:59:59"]
    assert dates(["2022-11-27 12:00:07 AM"]) == ["2022-11-27T00:00:07"]
    assert dates(["27.11.2022 24:00", "27.11.2022 12:60", "27.11.2022 12:00:60"]) == [""] * 3


def test_lines_below_a_quote_that_never_ends_keep_their_numbers(tmp_path: Path) -> None:
    listing = whole(tmp_path, HEADER + '"b.csv,0.7,0.8\nc.csv,0.6,0.7\nd.csv,75.8,0.8\n')
    assert [row.file for row in listing.rows] == ["a.csv", "c.csv"]
    assert [problem[:6] for problem in listing.problems] == ["line 3", "line 5"]


def test_a_damaged_list_is_read_or_refused(tmp_path: Path) -> None:
    draw, path = random.Random(0), tmp_path / "scores.csv"
    texts = [text.encode(code) for text in (CLIENT, PAGE, HEADER) for code in ("utf-8", "utf-16")]
    bits = [b'"', b"\0", b"\xff", b",", b"\t", b"\n", b"9" * 5000, b"1e999", b"x" * 140_000]
    for _ in range(200):
        data = bytearray(draw.choice(texts))
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(data))
            data[at : at + draw.randint(0, 20)] = draw.choice(bits)
        path.write_bytes(data)
        try:
            listing = read_listing(path)
        except DataError:
            continue
        scores = [score for row in listing.rows for score in (row.public, row.private)]
        assert all(score is None or 0 <= score <= 1 for score in scores)


def test_statuses_without_names_are_no_submissions(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no submissions"):
        whole(tmp_path, "Complete · 5d ago\n0.7\n0.8\n")
