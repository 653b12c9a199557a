"""Headless Chromium for the tests of the report, and axe-core to check that it is accessible."""

import json
import shutil
import subprocess
import tarfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
DRIVER = shutil.which("chromedriver")
AXE = "axe-core@4.14.1"
needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM or not DRIVER, reason="no chromium and chromedriver here"),
    pytest.mark.skipif(find_spec("selenium") is None, reason="needs kaggle_hw4[browser]"),
]


def start(folder: Path) -> Any:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options, webdriver.ChromeService(DRIVER))


def requests(driver: Any) -> list[str]:
    events = (json.loads(line["message"])["message"] for line in driver.get_log("performance"))
    sent = (e["params"] for e in events if e["method"] == "Network.requestWillBeSent")
    return [each["request"]["url"] for each in sent]


def emulate(driver: Any, width: int, scheme: str) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, from npm."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm to fetch axe-core with")
    done = subprocess.run([npm, "pack", AXE], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("axe-core cannot be fetched here")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member
        return member.read().decode()


def violations(driver: Any, axe: str) -> list[tuple[str, list[str]]]:
    """What axe-core finds that hinders, with every table opened."""
    driver.execute_script("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    driver.execute_script(axe)
    result = driver.execute_async_script(
        "const done = arguments[0]; axe.run().then((result) => done(result.violations))"
    )
    return [
        (each["id"], [node["html"][:200] for node in each["nodes"][:3]])
        for each in result
        if each["impact"] in ("moderate", "serious", "critical")
    ]
