"""The report of a whole chain on real speech, opened in Chromium: five folds of Strong and Boss, an
ensemble, three scored submissions, a study. Minutes; `make test-browser`, with ../shared/corpora.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from kaggle_hw4 import Project
from kaggle_hw4.data.folds import find_folds
from kaggle_hw4.report.subject import SECTIONS
from tests.chromium import axe, emulate, needs_browser, requests, start, violations
from tests.conftest import TINY
from tests.report_workspace import score_three, study
from tests.test_real_speech import UNPACK

__all__ = ["axe"]
pytestmark = [
    *needs_browser,
    pytest.mark.corpus,
    pytest.mark.skipif(not UNPACK.exists(), reason="no real speech in ../shared/corpora"),
]
SETTINGS = [*TINY, "schedule.steps=40", "schedule.validate_every=20", "segments.frames=80"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("real") / "workspace"
    command = [sys.executable, str(UNPACK), str(root / "corpus"), "--speakers", "20"]
    subprocess.run(command, check=True)
    project = Project(root)
    corpus = project.pack(root / "corpus")
    project.split(folds=5)
    for variant in ("strong", "boss"):
        project.train(variant, SETTINGS, folds="all")
    score_three(root, root / "corpus" / "truth.csv")
    study(root, corpus, find_folds(root / "folds", corpus, None))
    written = project.report()
    assert written.absent == ()
    assert written.bytes < 2_000_000
    return written.path


def test_it_opens_without_a_request_a_message_or_a_barrier(
    page: Path, axe: str, tmp_path: Path
) -> None:
    browser = start(tmp_path)
    try:
        browser.get(page.as_uri())
        asked = [url for url in requests(browser) if not url.startswith(("data:", "chrome:"))]
        assert asked == [page.as_uri()]
        assert browser.get_log("browser") == []
        for name in SECTIONS:
            assert browser.find_elements("css selector", f"#{name} svg"), name
            assert browser.find_elements("css selector", f"#{name} tbody tr"), name
        emulate(browser, 360, "dark")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
        assert violations(browser, axe) == []
    finally:
        browser.quit()
