"""On a screen of any width, and in a file, every digit of every figure is printed."""

import io
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from kaggle_hw4.cli.layout import visible, wrap, wrap_command
from kaggle_hw4.cli.output import as_text as as_styled_text
from kaggle_hw4.cli.output import page, table
from kaggle_hw4.cli.study import render_cost, render_summary
from tests.test_cli import SETTINGS, run
from tests.test_cli import workspace as workspace  # the fixture
from tests.test_study_text import COST, FINALS, summary_of

WIDTHS = (40, 60, 80, 120, None)
FIGURE = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?%?")
LONG = "Champion+Boss+Strong_with_neighbours_and_all_five_folds_and_three_seeds"


class Terminal(io.StringIO):
    """What a command has printed, on a screen."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def without_style(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def as_text(renderable: object, width: int | None) -> str:
    return without_style(as_styled_text(renderable, width))


def figures(text: str) -> list[str]:
    """Every figure, those of names included."""
    return FIGURE.findall(without_style(text))


def printed(monkeypatch: pytest.MonkeyPatch, width: int, *command: object) -> str:
    """What a command prints on a terminal of so many columns."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Terminal())
        patch.setenv("COLUMNS", str(width))
        assert run(*map(str, command)) == 0
        return sys.stdout.getvalue()  # type: ignore[attr-defined,no-any-return]


def check(
    command: tuple[object, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Assert that a command prints the same figures on every screen as in a file."""
    capsys.readouterr()
    assert run(*map(str, command)) == 0
    in_file = capsys.readouterr().out
    assert figures(in_file)
    for width in WIDTHS[:-1]:
        shown = printed(monkeypatch, width, *command)
        missing = Counter(figures(in_file)) - Counter(figures(shown))
        assert not missing, (command, width)


def test_every_table_of_the_command_line_shows_every_digit(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("split", "--folds", "2")
    for variant in ("strong", "boss"):
        run("train", "--variant", variant, "--folds", "all", *SETTINGS)
    runs = sorted((workspace / "runs").iterdir())
    scores = workspace / "scores.csv"
    scores.write_text(
        f"file,private,public\noutput_{LONG}_V12.csv,0.86275,0.86825\nmine.csv,0.7,0.78825\n"
    )
    for command in (
        ("leaderboard", "import", scores),
        ("ensemble", *runs, "--label", LONG[:60]),
        ("compare", *runs),
        ("leaderboard", "show"),
        ("leaderboard", "choose"),
        ("data", "inspect"),
        ("data", "inspect", "--shift"),
        ("predict", *runs),
    ):
        check(command, monkeypatch, capsys)


@pytest.mark.parametrize("view", ["summary", "cost"])
def test_every_figure_of_a_study_is_shown(view: str) -> None:
    shown = page(*render_cost(COST, 50, 2).splitlines())
    renderable = render_summary(summary_of(FINALS)) if view == "summary" else shown
    expected = figures(as_text(renderable, None))
    assert expected
    for width in WIDTHS[:-1]:
        assert not set(expected) - set(figures(as_text(renderable, width))), width


ROWS = [(f"{LONG}_V{i}", f"0.7{i}825", "", "+1.19 to +3.78", "may be noise") for i in range(3)]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_cell_is_printed_whole(width: int | None) -> None:
    grid = table(("submission", "public>", "private>", "95 %", ""), ROWS, "The board")
    text = as_text(grid, width)
    for row in ROWS:
        assert all(cell in text for cell in row)
    longest = max(len(line.rstrip()) for line in text.splitlines())
    assert width is None or longest <= max(width, len(ROWS[0][0]))


def test_a_table_is_first_without_its_empty_columns_then_tight_then_row_by_row() -> None:
    grid = table(("name", "CV session>", "private score>"), [("Boss", None, "0.78825")])
    shown = [[line.rstrip() for line in as_text(grid, w).splitlines()] for w in (60, 24, 16, 12)]
    assert shown[0][1] == " name   CV session   private score"
    assert shown[1][1] == " name   private score"
    assert [line.split() for line in shown[2][1:3]] == [["private"], ["name", "score"]]
    assert shown[3][1:6] == ["name", "Boss", "  private", "  score:", "  0.78825"]


def test_prose_wraps_between_words_and_a_long_word_stays_whole() -> None:
    text = "  the first 0.78825 ± 0.0092 of output_Strong_V1.csv"
    assert wrap(text, 20) == ["  the first 0.78825", "  ± 0.0092 of", "  output_Strong_V1.csv"]
    assert wrap(text, None) == [text]


def test_a_command_that_is_wrapped_can_still_be_copied() -> None:
    command = "next: hw4 train boss --folds 1 -s networks.count=1 -s schedule.steps=60"
    lines = wrap_command(command, 40)
    assert lines == [
        "next: hw4 train boss --folds 1 \\",
        "    -s networks.count=1 \\",
        "    -s schedule.steps=60",
    ]
    assert max(map(len, lines)) <= 40
    assert "\n".join(lines).replace("\\\n", "").split() == command.split()
    assert wrap_command(command, None) == [command]
    assert wrap_command(quoted := "next: hw4 data pack 'my own data set'", 20) == [quoted]


def test_what_follows_a_heading_stays_beside_it() -> None:
    assert wrap("bad      disk  3 GB; make room on it", 24, hang=15) == [
        "bad      disk  3 GB;",
        "               make room",
        "               on it",
    ]


FOREIGN = "[/red]:smile:[bold]\x1b[31m\u202e\x9b2J\n\r\t\udcff"
SHOWN = r"[/red]:smile:[bold]\x1b[31m\u202e\x9b2J\n\r\t\xff"


def test_foreign_text_is_shown_as_it_is_with_its_escapes_made_visible() -> None:
    assert visible(FOREIGN) == SHOWN
    grid = table((FOREIGN[:6], "x"), [(FOREIGN, "1")], FOREIGN)
    assert as_text(page(grid, FOREIGN), None).count(SHOWN) == 3
    assert as_text(FOREIGN, None) == SHOWN + "\n"


def test_what_is_said_is_one_line_without_escapes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--workspace", str(tmp_path), "leaderboard", "import", "[/x]\x1b[2J\n.csv") == 4
    [line] = capsys.readouterr().err.splitlines()
    assert r"hw4: [/x]\x1b[2J\n.csv cannot be read" in line


def test_json_has_no_character_that_a_terminal_acts_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("file,private,public\n\x9b2J\x1b\u202e,0.7,0.8\n")
    run("--workspace", str(tmp_path), "leaderboard", "import", str(tmp_path / "a.csv"), "--json")
    assert r'"\u009b2J\u001b\u202e"' in capsys.readouterr().out


BOARD = """
Kaggle's board

 submission           public   private     s.e.   passes
 ───────────────────────────────────────────────────────
 · Boss baseline     0.86500
 Strong_V1           0.78825   0.78275   0.0065   Strong
 · Strong baseline   0.77750
 Strong_V2_Manual    0.75850   0.76275   0.0068   Medium
 Boss_V3             0.75775   0.75825   0.0068   Medium
 Boss_V2             0.75075   0.74800   0.0068   Medium
 Midium_V3.1         0.74450   0.74050   0.0069   Medium
 · Medium baseline   0.70375
 · Simple baseline   0.60824

One above the next (too wide without both files)

Strong_V1 over Strong_V2_Manual
  points: +2.49   95 %: +1.19 to +3.78   on: public+private
Strong_V2_Manual over Boss_V3
  points: +0.26   95 %: -1.06 to +1.59   on: public+private   may be noise
"""


def test_the_board_on_a_screen_of_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = ("--workspace", tmp_path, "leaderboard")
    run(*map(str, here), "import", "examples/past_scores.csv")
    text = without_style(printed(monkeypatch, 80, *here, "show"))
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines[: len(BOARD.splitlines()) - 1] == BOARD.splitlines()[1:]
