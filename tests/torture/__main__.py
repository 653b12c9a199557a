"""python -m tests.torture [KIND …] [--seed N] [--COUNT N] [--only NUMBER]: see `make torture`."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
os.environ |= {"COLUMNS": "80", "HW4_DEBUG": "0", "PYTHONHASHSEED": "0"}

from tests.torture import faults, forks, kills
from tests.torture.chain import Reference, undisturbed
from tests.torture.report import Tally, table

COUNTS = {"kills": 300, "faults": 300, "damage": 1400, "fuzz": 700, "races": 200, "machine": 40}
Attempt = Callable[[Reference, Path, Tally, int], None]


def torture_faults(reference: Reference, root: Path, tally: Tally) -> Attempt:
    planned = faults.all_faults(reference, tally.seed)

    def attempt(reference: Reference, root: Path, tally: Tally, number: int) -> None:
        if number < len(planned):
            faults.inject(reference, root, tally, number, planned[number])

    return attempt


def torture(kind: str, seed: int, count: int, seconds: float, only: int | None, base: Path) -> Tally:
    """Attempts of one kind until `count` have been tried, or the seconds are over."""
    folder = base / kind
    folder.mkdir()
    root = folder / "w"
    tally = Tally(kind, seed)
    reference = undisturbed(root)
    attempt = torture_faults(reference, root, tally) if kind == "faults" else kills.kill_chain
    numbers = iter(range(10**9)) if only is None else iter([only])
    for number in numbers:
        if tally.tried >= count or time.monotonic() - tally.begun > seconds:
            break
        attempt(reference, root, tally, number)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(COUNTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--seconds", type=float, default=1500)
    parser.add_argument("--count", type=int)
    options = parser.parse_args()
    forks.preload()
    base = Path(tempfile.mkdtemp(prefix="hw4-torture-"))
    try:
        tallies = [
            torture(kind, options.seed, options.count or COUNTS[kind], options.seconds, options.only, base)
            for kind in options.kinds
        ]
    finally:
        shutil.rmtree(base, ignore_errors=True)
    print(table([tally.row for tally in tallies]))
    return int(any(tally.counts for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
