"""Every operation on a file meets with a full disk, an I/O error or a kill, one at a time.

Attempt `number` is one fault: the command is run where its forerunners left off, with that fault,
and then again without one. It must say what is wrong or have done its work, and then do it.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.torture.chain import CHAIN, LEFTOVERS, SYNTH, TRAIN, TUNE, Reference, Words
from tests.torture.forks import end_orphans, run
from tests.torture.operations import FAULTS, KILL, Operations
from tests.torture.report import LOST, WRONG, Tally

Fault = tuple[Words, int, str]
FEW = 30  # operations: each of them meets with every fault, else with one
EVERY = {SYNTH: 3, TRAIN: 2, TUNE: 7}  # files of one kind, again and again: a part for each seed


def all_faults(reference: Reference, seed: int) -> list[Fault]:
    """Operation 1, 2, … of each command, until nothing fails, in a random order."""
    random, faults = Random(f"{seed} faults"), []
    for words in CHAIN:
        count, step = reference.costs[words].operations, EVERY.get(words, 1)
        for number in range(1 + seed % step, count + 2, step):
            kinds = FAULTS if count <= FEW else [random.choice(FAULTS)]
            faults += [(words, number, kind) for kind in kinds]
    random.shuffle(faults)
    return faults


def inject(reference: Reference, root: Path, tally: Tally, number: int, fault: Fault) -> None:
    """Run a command with one fault, and once more without."""
    words, stop_at, kind = fault
    name = f"{kind} at operation {stop_at} of hw4 {' '.join(words[:2])}"
    step = CHAIN.index(words)
    reference.restore(root, step)
    operations = Operations(root, stop_at, kind)
    ended = run(root, *words, prepare=operations.install)
    end_orphans()
    tally.tried += operations.reached
    if tally.faulty(ended, number, name):
        return
    killed = kind == KILL and ended.code == -9
    if ended.code and not ended.documented and not killed:
        tally.fail(LOST, number, f"{name}: an undocumented end, {ended.reason}")
        return
    if ended.code == 0 and (wrong := reference.differences(root, step + 1, LEFTOVERS)):
        tally.fail(WRONG, number, f"{name}: {wrong}")
        return
    again = run(root, *words)
    if tally.faulty(again, number, f"after {name}"):
        return
    if not reference.is_done(root, step, again):
        tally.fail(LOST, number, f"after {name}: {again.reason}")
    elif difference := reference.differences(root, step + 1):
        tally.fail(LOST, number, f"after {name}: {difference}")


def campaign(reference: Reference, root: Path, tally: Tally) -> Callable[[int], None]:
    faults = all_faults(reference, tally.seed)
    print(f"faults: {len(faults)} are planned", flush=True)
    return lambda number: inject(reference, root, tally, number, faults[number % len(faults)])
