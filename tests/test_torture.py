"""A small share of `make torture`: one attempt or a few of each kind, and nothing may be lost."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_a_share_of_the_torture_loses_nothing() -> None:
    # A process of its own: it forks, and pytest's has had threads.
    command = [sys.executable, "-m", "tests.torture", "--scale", "0.02", "--seconds", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
