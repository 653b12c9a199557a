"""python -m tests.torture [KIND …] [--seed N] [--scale X] [--seconds S] [--only NUMBER]

Tries each kind as often as `make torture` states, or until its share of the seconds is over; prints
what was lost, and ends with 1 if anything was.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
os.environ |= {"COLUMNS": "80", "HW4_DEBUG": "0"}

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.torture import damage, faults, forks, fuzz, kills, machine, races
from tests.torture.chain import Reference, undisturbed
from tests.torture.report import Tally, table

SECONDS = 1700.0  # for all kinds, after which the rest is left out: less than thirty minutes

Attempt = Callable[[int], object]


class Kind(NamedTuple):
    """How often something is tried, its share of the time, and how its attempts begin."""

    count: int
    share: float
    campaign: Callable[[Reference, Path, Tally], Attempt]


KINDS: Mapping[str, Kind] = {
    "kills": Kind(300, 0.15, kills.campaign),
    "faults": Kind(550, 0.35, faults.campaign),
    "damage": Kind(1300, 0.2, damage.campaign),
    "fuzz": Kind(800, 0.1, fuzz.campaign),
    "races": Kind(200, 0.15, races.campaign),
    "machine": Kind(30, 0.05, machine.campaign),
}


def torture(kind: str, options: argparse.Namespace, attempt: Attempt, tally: Tally) -> None:
    """The attempts of one kind, until there are enough or its time is over; at least one."""
    enough = options.scale * KINDS[kind].count
    for number in range(10**9) if options.only is None else [options.only]:
        attempt(number)
        if tally.tried >= enough or time.monotonic() > tally.until:
            return


def torture_all(options: argparse.Namespace, root: Path) -> list[Tally]:
    """Each kind after the other, on one undisturbed chain."""
    kinds, tallies = options.kinds or list(KINDS), []
    reference = undisturbed(root)
    until, shares = time.monotonic(), sum(KINDS[kind].share for kind in kinds)
    for kind in kinds:
        until += options.seconds * KINDS[kind].share / shares
        tally = Tally(kind, options.seed, until)
        torture(kind, options, KINDS[kind].campaign(reference, root, tally), tally)
        tally.end(options.scale * KINDS[kind].count if options.only is None else 0)
        print(tally.summary, flush=True)
        tallies.append(tally)
    return tallies


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="0.01: a hundredth of each")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--only", type=int, help="one attempt, as a failure names it")
    options = parser.parse_args()
    forks.preload()
    base = Path(tempfile.mkdtemp(prefix="hw4-torture-"))
    try:
        tallies = torture_all(options, base / "w")
    finally:
        shutil.rmtree(base, ignore_errors=True)
    print("\n" + table([tally.row for tally in tallies]))
    return int(any(tally.counts for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
