"""The demo takes ten minutes at most; `make test-slow`."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_demo_ends_in_a_scored_submission_within_ten_minutes(tmp_path: Path) -> None:
    environment = {**os.environ, "HW4_WORKSPACE": str(tmp_path)}
    command = [sys.executable, "-m", "kaggle_hw4", "run", "pipelines/demo.toml", "--json"]
    start = time.monotonic()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert time.monotonic() - start < 600
    score = json.loads(done.stdout)["score"]
    assert min(score["public"], score["private"]) > 0.2, "chance is 0.025"
