"""The page and its drawings: what is foreign is text, nothing is loaded, and nothing is styled."""

import base64
import hashlib
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from kaggle_hw4.report.canvas import Labels
from kaggle_hw4.report.document import Figure, Finding, Missing, Section, Text, make_table
from kaggle_hw4.report.page import Heading, render
from kaggle_hw4.report.plots import (
    Series,
    bars,
    heatmap,
    histogram,
    lines,
    plane,
    scatter,
    spectrogram,
)
from kaggle_hw4.report.svg import GRID, INK, PAGE, SERIES

EVIL = "</title></svg><script>alert('1')</script>\"&\x00\u202e"
ESCAPED = "&lt;/svg&gt;&lt;script&gt;alert("
LABELS = Labels("evil", EVIL, EVIL, EVIL, EVIL)
CHARTS = {
    "lines": lambda: lines(LABELS, [Series(EVIL, [1, 2], [3, 4], [2, 3], [4, 5])], {EVIL: 3.0}),
    "scatter": lambda: scatter(LABELS, [Series(EVIL, [1, 20], [3, 4])], True, log_x=True),
    "bars": lambda: bars(LABELS, [EVIL, "b"], [1.0, 2.0], [0.1, 0.2]),
    "histogram": lambda: histogram(LABELS, {EVIL: [1, 2], "b": [2, 1]}, [0, 1, 2]),
    "heatmap": lambda: heatmap(LABELS, [[1, 2], [0, 3]], [EVIL, "b"], [EVIL, "b"]),
    "spectrogram": lambda: spectrogram(LABELS, np.eye(40), np.ones(40) / 40),
    "plane": lambda: plane(LABELS, [Series(EVIL, [1], [2])], [np.ones((1, 2, 2))]),
}


def page(*blocks: object, title: str = "Report") -> str:
    return render(Heading(title, (title,), "now"), [Section("s", title, blocks)])


@pytest.mark.parametrize("name", CHARTS)
def test_a_drawing_holds_no_style_link_or_script(name: str) -> None:
    svg = CHARTS[name]()
    root = ET.fromstring(svg)
    tags = {element.tag for element in root.iter()}
    assert not tags & {"style", "script", "metadata", "a", "foreignObject"}
    for element in root.iter():
        assert not {"style", "class"} & set(element.attrib)
        assert not [key for key in element.attrib if key.startswith("on") or "{" in key]
        assert element.get("href", "#").startswith(("#", "data:image/png;base64,"))
    assert "http" not in svg
    assert ESCAPED in svg


@pytest.mark.parametrize("name", CHARTS)
def test_a_drawing_has_the_pages_colours_and_the_same_bytes_every_time(name: str) -> None:
    svg = CHARTS[name]()
    assert svg == CHARTS[name]()
    assert not [colour for colour in (INK, GRID, PAGE, *SERIES) if f'"{colour}"' in svg]
    assert "currentColor" in svg


def test_everything_foreign_is_escaped_on_the_page() -> None:
    table = make_table("t", EVIL, (EVIL, "n"), [(EVIL, 1.5), ("x", 2)])
    drawn = CHARTS["bars"]()
    blocks = (Text(EVIL), Finding(EVIL), Missing(EVIL, EVIL), table)
    shown = page(*blocks, Figure(EVIL, EVIL, drawn, make_table("u", "", ("a",), [])), title=EVIL)
    assert shown.count("<script>") == 1, "the page's own"
    assert "\x00" not in shown
    assert "\u202e" not in shown


def test_the_policy_allows_the_pages_own_style_and_script_alone() -> None:
    shown = page(Text("a"))
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]+)"', shown)
    assert policy.startswith("default-src 'none'; ")
    for kind in ("style", "script"):
        [content] = re.findall(rf"<{kind}>(.*?)</{kind}>", shown, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_a_column_of_numbers_is_one_and_a_table_has_a_caption_and_headers() -> None:
    shown = page(make_table("t", "Of what", ("name", "n"), [("1a", "1,000"), ("b", None)]))
    assert '<caption class="hidden">Of what</caption>' in shown
    assert '<th scope="col">name</th><th scope="col" class="number">n</th>' in shown
    assert '<td class="number">1,000</td>' in shown
