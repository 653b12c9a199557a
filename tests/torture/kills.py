"""SIGKILL anywhere in the chain, and again while the same command recovers from it.

Attempt `number` is one chain: each command is killed several times, at a random operation on a file
or after a random time, and then left alone. The chain must end with the undisturbed bytes.
"""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from kaggle_hw4.errors import Stopped
from tests.torture.chain import CHAIN, Reference, Words, new_workspace
from tests.torture.forks import Ended, end_orphans, run, start
from tests.torture.operations import Operations
from tests.torture.report import LOST, Tally

KILLS = 3  # of a command
STOPS = 0.25  # the share of kills after a time that are no kill but SIGTERM
STOPPED = (-signal.SIGKILL, -signal.SIGTERM, Stopped.exit_code)
TIMED = 0.3  # the share of kills after a time; the others are at an operation


def kill_chain(reference: Reference, root: Path, tally: Tally, number: int) -> None:
    """Kill every command of a chain until it has had enough; compare what it ends in."""
    random = Random(f"{tally.seed} kills {number}")
    new_workspace(root)
    for step, words in enumerate(CHAIN):
        name = f"hw4 {' '.join(words[:2])}"
        for _ in range(KILLS if time.monotonic() < tally.until else 0):
            ended = kill_once(reference, root, words, random)
            tally.tried += ended.code == -signal.SIGKILL
            if ended.code not in STOPPED and not reference.is_done(root, step, ended):
                if not tally.faulty(ended, number, name):
                    tally.fail(LOST, number, f"{name} does not resume: {ended.reason}")
                break
            if random.random() < 0.5:
                end_orphans()
        ended = run(root, *words)
        if not reference.is_done(root, step, ended):
            if not tally.faulty(ended, number, name):
                tally.fail(LOST, number, f"{name} does not finish: {ended.reason}")
            break
    end_orphans()
    if difference := reference.differences(root):
        tally.fail(LOST, number, difference)


def kill_once(reference: Reference, root: Path, words: Words, random: Random) -> Ended:
    """Start a command and kill it somewhere, unless it is faster."""
    cost = reference.costs[words]
    if random.random() < TIMED:
        child = start(root, words)
        time.sleep(random.random() * cost.seconds)
        child.kill(signal.SIGTERM if random.random() < STOPS else signal.SIGKILL)
        return child.wait()
    # Early operations as often as late ones: what is left to do is less with every kill.
    stop_at = int(cost.operations ** random.random()) if random.random() < 0.5 else 0
    stop_at = stop_at or 1 + random.randrange(cost.operations)
    operations = Operations(root, stop_at)
    return run(root, *words, prepare=operations.install)


def campaign(reference: Reference, root: Path, tally: Tally) -> Callable[[int], None]:
    return lambda number: kill_chain(reference, root, tally, number)
