"""The report in headless Chromium: nothing loads, nothing complains, tables sort and download."""

import csv
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kaggle_hw4.report.subject import SECTIONS
from kaggle_hw4.report.write import write_report
from kaggle_hw4.workspace import Workspace
from tests.chromium import axe, emulate, needs_browser, requests, start, violations
from tests.kaggle_board import declare_edition
from tests.report_workspace import chain, score_on_kaggle

__all__ = ["axe", "chain"]
pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a workspace with everything, scores on Kaggle's board included."""
    root = Path(shutil.copytree(chain, tmp_path_factory.mktemp("browser") / "workspace"))
    declare_edition(root / "packed")
    score_on_kaggle(root)
    return write_report(Workspace.at(root)).path


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(page: Path, downloads: Path) -> Iterator[Any]:
    driver = start(downloads)
    driver.get(page.as_uri())
    yield driver
    driver.quit()


def test_the_page_asks_for_nothing_and_the_console_stays_empty(browser: Any, page: Path) -> None:
    asked = [url for url in requests(browser) if not url.startswith(("data:", "chrome:"))]
    assert asked == [page.as_uri()]
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.scripts.length") == 1


def test_every_section_is_drawn(browser: Any) -> None:
    for name in SECTIONS:
        size = browser.execute_script(
            "const svg = document.querySelector(`#${arguments[0]} svg`).getBoundingClientRect();"
            "return [svg.width, svg.height]",
            name,
        )
        assert min(size) > 50, name


def column(driver: Any, table: str, number: int) -> list[str]:
    return driver.execute_script(
        "return [...document.getElementById(arguments[0]).tBodies[0].rows]"
        ".map((row) => row.cells[arguments[1]].textContent)",
        table,
        number,
    )


def test_a_table_sorts_by_numbers_with_the_keyboard(browser: Any) -> None:
    button = browser.find_elements("css selector", "#cost-runs th button")[8]  # accuracy
    orders = []
    for expected in ("ascending", "descending"):
        button.send_keys("\ue007")  # Enter
        orders.append([float(cell) for cell in column(browser, "cost-runs", 8)])
        head = browser.find_elements("css selector", "#cost-runs th")[8]
        assert head.get_attribute("aria-sort") == expected
    assert orders == [sorted(orders[0]), sorted(orders[0], reverse=True)]


def test_a_table_downloads_as_csv_that_no_spreadsheet_runs(browser: Any, downloads: Path) -> None:
    browser.execute_script("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    button = browser.execute_script(
        "return document.getElementById('models-speakers').parentElement.nextElementSibling"
    )
    assert button.text == "Download CSV"
    button.send_keys("\ue007")
    path, end = downloads / "models-speakers.csv", time.monotonic() + 10
    while not path.is_file() and time.monotonic() < end:
        time.sleep(0.1)
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["speaker", "accuracy", "utterances", "mostly taken for"]
    assert {row[0] for row in rows} >= {"'=1+1", "<script>alert(1)</script>", "\"a' & <b>"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_the_page_fits_and_follows_the_scheme(browser: Any, width: int, scheme: str) -> None:
    emulate(browser, width, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert colour == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_that_hinders(browser: Any, axe: str, scheme: str) -> None:
    emulate(browser, 1200, scheme)
    assert violations(browser, axe) == []
