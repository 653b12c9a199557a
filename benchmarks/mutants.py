"""`make mutants`: would the tests notice a changed comparison, sum, condition or default?

Runs each mutant of benchmarks/mutants.csv, a sample of Cosmic Ray's, against the tests that execute
its line, each in a process forked from this one, which has imported the libraries. In the table,
`drawn` is the outcome when the sample was drawn, `by` the test that failed, and `reason` is why a
mutant may survive: one that survives without a reason is an error. `--draw` draws a new sample.
Settings: [tool.mutants] of pyproject.toml.
"""

import compileall
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest
from mutants_sample import CONFIG, ROOT, Row, draw, locate, read_sample, write_sample
from mutants_suite import Plugin, Suite, measure, read_suite

BUILD = ROOT / "build" / "mutants"
CODE = BUILD / "code"  # a clone of the last commit: what is mutated and tested
LOG = BUILD / "last.log"  # what the tests of the last mutant printed
LIBRARIES = ("optuna", "pandas", "pydantic", "rich", "scipy.optimize", "sklearn", "torch", "typer")
SECONDS = 1800  # the most for a mutant


def forked(function: Callable[[], int], seconds: float) -> int:
    """The exit status of a function in a process of its own, which is killed with its children."""
    child = os.fork()
    if child == 0:
        os.setsid()
        os.chdir(CODE)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored under nohup
        log = os.open(LOG, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        try:
            os._exit(function())
        finally:
            os._exit(70)
    end, ended, status = time.monotonic() + seconds, 0, 0
    while not ended and time.monotonic() < end:
        time.sleep(0.02)
        ended, status = os.waitpid(child, os.WNOHANG)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if not ended:
        os.waitpid(child, 0)
    return status if ended else 1


def run(row: Row, suite: Suite) -> None:
    """Fill in whether a test fails, or does not end in time, and which one."""
    row["outcome"], row["by"] = "gone", ""
    if (mutant := locate(CODE, row)) is None:  # the line was rewritten
        return
    row["line"], path = mutant[0]["line"], CODE / row["path"]
    chosen = suite.tests_of(CODE, row["path"], int(row["line"]))
    # The module's own tests first, then the files that take the least time.
    seconds = Counter[str]()
    for test in chosen:
        seconds[test.partition("::")[0]] += suite.seconds[test]
    files = sorted(seconds, key=lambda file: (f"test_{path.name}" not in file, seconds[file]))
    arguments = ["-p", "no:cacheprovider", "-x", "--tb=no", *files]
    source, stamp = path.read_text(), path.stat()
    try:
        path.write_text(mutant[1])
        status = forked(lambda: pytest.main(arguments, plugins=[Plugin(chosen)]), SECONDS)
    finally:
        path.write_text(source)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # its bytecode is valid again
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", LOG.read_text(), re.MULTILINE)
    row["outcome"] = "killed" if status else "survived"
    row["by"] = (failed[1] if failed else "a time limit") if status else ""


def prepare() -> Suite:
    """A clone of the last commit, with its bytecode, and what its tests execute."""
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True)
    measured = BUILD / f"tests-{commit[:12]}.json"
    if not measured.exists():
        shutil.rmtree(BUILD, ignore_errors=True)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(CODE)], check=True)
        print("which test executes which line: some minutes", flush=True)
        forked(lambda: measure(CODE, measured), SECONDS)
    for folder in ("kaggle_hw4", "tests"):
        compileall.compile_dir(CODE / folder, quiet=1)
    return read_suite(measured)


def main(redraw: bool) -> None:
    sys.dont_write_bytecode = False
    suite = prepare()
    os.environ["PYTHONDONTWRITEBYTECODE"], sys.dont_write_bytecode = "1", True
    for library in LIBRARIES:
        importlib.import_module(library)
    rows = draw(CODE) if redraw else read_sample()
    for number, row in enumerate(rows, 1):
        run(row, suite)
        row["drawn"] = row["outcome"] if redraw else row["drawn"]
        print(f"{number} of {len(rows)}: {row['outcome']} {row['path']}:{row['line']}", flush=True)
        write_sample(rows)
    for package in CONFIG["packages"]:
        outcomes = Counter(r["outcome"] for r in rows if r["path"].split("/")[1] == package)
        print(f"{package}: {dict(outcomes)}")
    unexplained = [r for r in rows if r["outcome"] == "survived" and not r["reason"]]
    for row in unexplained:
        print(f"{row['path']}:{row['line']}: {row['before']}  →  {row['after']}")
    sys.exit(bool(unexplained))


if __name__ == "__main__":
    os.environ |= {"PYTHONPATH": str(CODE), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}
    sys.path.insert(0, str(CODE))
    main("--draw" in sys.argv[1:])
