"""The test suite as `make mutants` needs it: which test executes which line, and chosen tests."""

import ast
import json
import os
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

LIMIT = 180.0  # seconds for a test
CONTEXT = "HW4_TEST"  # the running test: processes that it starts read it in pyproject.toml


@dataclass(frozen=True)
class Suite:
    """What each test executes, and for how long."""

    seconds: dict[str, float]  # by test
    lines: dict[str, dict[str, list[str]]]  # by file and line: the tests

    def tests_of(self, code: Path, path: str, line: int) -> set[str]:
        """The tests that execute the statement at a line.

        A default executes at import: for it, all tests of its function; for a constant or a field,
        all tests of the file.
        """
        lines = self.lines.get(path, {})
        tree = ast.parse((code / path).read_text())
        around = [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and _covers(n, line)]
        functions = [n for n in around if isinstance(n, ast.FunctionDef)]
        if functions and line >= functions[-1].body[0].lineno:
            statement = around[-1]  # ast.walk goes inwards
            body = getattr(statement, "body", None)
            end = max(body[0].lineno - 1, line) if body else statement.end_lineno
            numbers = range(statement.lineno, end + 1)
        else:
            bodies = functions[-1:] or [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
            numbers = chain(*(range(n.body[0].lineno, n.end_lineno + 1) for n in bodies))
        tests = {test for number in numbers for test in lines.get(str(number), [])}
        return tests or set(chain(*lines.values()))


def read_suite(path: Path) -> Suite:
    return Suite(**json.loads(path.read_text()))


def _covers(node: ast.stmt, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


class Plugin:
    """Runs the `chosen` tests, or all, each for a limited time."""

    def __init__(self, chosen: Collection[str] | None = None, coverage: Any = None) -> None:
        self.chosen, self.coverage = chosen, coverage
        self.seconds: dict[str, float] = defaultdict(float)
        self.fixtures: dict[str, list[str]] = {}  # that each test uses

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.chosen is not None:
            items[:] = [item for item in items if item.nodeid in self.chosen]
        self.fixtures = {item.nodeid: list(item.fixturenames) for item in items}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        timer = threading.Timer(LIMIT, os._exit, [9])  # an endless loop is a killed mutant
        timer.start()
        self.enter(item.nodeid)
        result = yield
        timer.cancel()
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        """What a shared fixture executes counts for every test that uses it."""
        before = os.environ.get(CONTEXT, "")
        if fixturedef.scope != "function":
            self.enter(f"fixture {fixturedef.argname}")
        value = yield
        self.enter(before)
        return value

    def enter(self, context: str) -> None:
        os.environ[CONTEXT] = context
        if self.coverage:
            self.coverage.switch_context(context)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.fixtures.pop(report.nodeid, None)  # a test that fails anyway says nothing


def measure(code: Path, into: Path) -> int:
    """Run the whole suite of a folder once, under coverage, and write the `Suite`."""
    import coverage

    os.environ["COVERAGE_PROCESS_START"] = config = str(code / "pyproject.toml")
    measuring = coverage.Coverage(config_file=config)
    measuring.start()
    plugin = Plugin(coverage=measuring)
    pytest.main(["-p", "no:cacheprovider"], plugins=[plugin])
    measuring.stop()
    measuring.save()
    measuring.combine()
    users = defaultdict(list)  # of a context: the tests
    for test, names in plugin.fixtures.items():
        for context in (test, *(f"fixture {name}" for name in names)):
            users[context].append(test)
    data = measuring.get_data()
    lines = {
        str(Path(file).relative_to(code)): {
            line: sorted({test for context in contexts for test in users.get(context, [])})
            for line, contexts in data.contexts_by_lineno(file).items()
        }
        for file in data.measured_files()
    }
    into.write_text(json.dumps({"seconds": plugin.seconds, "lines": lines}))
    return 0
