"""What a step frees stays with the process."""

import ctypes
import subprocess
import sys

import pytest

from kaggle_hw4.training.memory import keep_freed_memory

FAULTS = """
import resource, torch
from kaggle_hw4.training.memory import keep_freed_memory
torch.set_num_threads(1)
if {kept}:
    assert keep_freed_memory()
x = torch.ones(16_000_000)  # 64 MB: more than glibc keeps by itself
for _ in range(25):  # until there is room for one wherever it is asked for
    y = x + 1
    del y
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    y = x + 1
    del y
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_memory_that_is_freed_is_not_asked_for_again() -> None:
    faults = []
    for kept in (False, True):
        command = [sys.executable, "-c", FAULTS.format(kept=kept)]
        faults.append(int(subprocess.run(command, check=True, capture_output=True).stdout))
    assert faults[1] < 0.3 * faults[0]


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert not keep_freed_memory()
