"""What commands print on a screen of 80 columns, to the letter: tests/screenshots."""

from collections import Counter

import pytest

from tests.screens import SCREENS, SCREENSHOTS, lines
from tests.test_docs import DOCUMENTS
from tests.test_layout import WIDTHS, figures


def test_every_screenshot_is_one_of_a_command() -> None:
    assert {path.stem for path in SCREENSHOTS.iterdir()} == set(SCREENS)


@pytest.mark.parametrize("name", SCREENS)
def test_a_command_prints_this_on_80_columns(name: str) -> None:
    assert lines(name, 80) == (SCREENSHOTS / f"{name}.txt").read_text().splitlines()


@pytest.mark.parametrize("name", SCREENS)
def test_every_figure_of_a_file_is_on_every_screen(name: str) -> None:
    in_file = Counter(figures("\n".join(lines(name, None))))
    for width in WIDTHS[:-1]:
        assert not in_file - Counter(figures("\n".join(lines(name, width)))), width


@pytest.mark.parametrize(
    ("name", "digits"),
    [
        ("ensemble", ("156,666", "folds: 144", "11.25", "0.85977", "104321, 101234", "+1.11")),
        ("compare", ("156,666", "members: 144", "0.84412", "104321, 101234", "+1.82")),
        (
            "compare_groups",
            ("156,666", "members: 144", "0.84412", "104321, 101234", "+2.82", "0.11"),
        ),
        ("predict", ("123,456", "seed1234567890", "0.94321", "0.612", "123457 s")),
        ("tune_show", ("1440 trials", "0.001235", "+0.0071", "144", "12,345", "0.8623")),
    ],
)
def test_the_digits_of_the_result_are_there(name: str, digits: tuple[str, ...]) -> None:
    text = "\n".join(lines(name, 80))
    assert [each for each in digits if each not in text] == []


def test_the_ensemble_of_the_readme_is_what_hw4_prints() -> None:
    assert (SCREENSHOTS / "ensemble.txt").read_text() in DOCUMENTS
