"""Eight processes with the same command at once: nothing is lost, nothing is there twice.

Attempt `number` is one race. All racers wait for the same pipe to be closed.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kaggle_hw4.kaggle.ledger import Ledger
from tests.torture.chain import (
    CHAIN,
    CLEAN,
    ENSEMBLE,
    PACK,
    PREDICT,
    REPACK,
    SPLIT,
    SUBMIT_FIRST,
    SYNTH,
    TRAIN,
    TUNE,
    Reference,
    Words,
)
from tests.torture.forks import Ended, end_orphans, run, start
from tests.torture.report import LOST, Tally

RACERS = 8


def listing(label: str) -> str:
    """A table of one submission a racer."""
    rows = (f"output_{label}_V{n}.csv,0.7{n}000,0.6{n}000\n" for n in range(RACERS))
    return "file,private,public\n" + "".join(rows)


@dataclass(frozen=True)
class Race:
    """`commands(racer)` is what each racer runs, where the chain stands before `step`."""

    name: str
    step: int
    commands: Callable[[int], Words]
    check: Callable[[Reference, Path, int], str]  # what was lost or is there twice
    busy: str = ""  # what those who come second may see


def as_once(reference: Reference, root: Path, step: int) -> str:
    """As after the command has run once."""
    return reference.differences(root, step + 1)


def scores_are_there(reference: Reference, root: Path, step: int) -> str:
    """Each racer's score, after the one that was imported."""
    events = Ledger(root / "submissions").events()
    scores = Counter(event.version for event in events if event.event == "scored")
    wrong = {n: scores[f"Hand_V{n}"] for n in range(RACERS) if scores[f"Hand_V{n}"] != 2}
    return f"scores of {wrong}" if wrong else ""


def imported_once(reference: Reference, root: Path, step: int) -> str:
    events = Counter((e.event, e.version) for e in Ledger(root / "submissions").events())
    twice = [event for event, count in events.items() if count > 1 and event[1].startswith("Old")]
    missing = [n for n in range(RACERS) if ("scored", f"Old_V{n}") not in events]
    return f"twice: {twice}, missing: {missing}" if twice or missing else ""


def one_newest(reference: Reference, root: Path, step: int) -> str:
    """As many events as racers, or one: the same score says nothing new."""
    events = [e for e in Ledger(root / "submissions").events() if e.event == "scored"]
    recorded = len([e for e in events if e.version == "Hand_V0"]) - 1  # one was imported
    return "" if recorded in (1, RACERS) else f"{recorded} scores"


def of_chain(words: Words, busy: str = "") -> Race:
    return Race(" ".join(words[:2]), CHAIN.index(words), lambda _: words, as_once, busy)


def record(racer: int) -> Words:
    return ("leaderboard", "record", f"Hand_V{racer}", "--public", f"0.{racer + 1}")


RACES = (
    of_chain(PACK),
    of_chain(SPLIT),
    of_chain(SYNTH),
    of_chain(REPACK),
    of_chain(TRAIN, "is being trained by another process"),
    of_chain(TUNE, "is being tuned by another process"),
    of_chain(PREDICT, "is being"),
    of_chain(CLEAN),
    of_chain(ENSEMBLE),
    of_chain(SUBMIT_FIRST),
    Race("record of eight scores", -1, record, scores_are_there),
    Race("record of one score", -1, lambda _: record(0), one_newest),
    Race("import", -1, lambda _: ("leaderboard", "import", "list.csv"), imported_once),
)


def race(reference: Reference, root: Path, tally: Tally, number: int) -> None:
    """Let eight processes run; check what each says, the ledger's seals and what was made."""
    this = RACES[number % len(RACES)]
    reference.restore(root, this.step)
    (root / "list.csv").write_text(listing("Hand"))
    if this.step == -1:
        run(root, "leaderboard", "import", "list.csv")
        (root / "list.csv").write_text(listing("Old"))
    gate, opener = os.pipe()

    def wait() -> None:
        os.close(opener)
        os.read(gate, 1)

    children = [start(root, this.commands(racer), wait) for racer in range(RACERS)]
    os.close(gate)
    os.close(opener)
    ends = [child.wait() for child in children]
    end_orphans()
    (root / "list.csv").unlink()
    tally.tried += 1
    if sum(tally.faulty(ended, number, f"race of {this.name}") for ended in ends):
        return
    refused = [
        ended
        for ended in ends
        if not reference.is_done(root, this.step, ended) and not _busy(this, ended)
    ]
    problems = Ledger(root / "submissions").problems()
    lost = [ended.reason for ended in refused[:1]] + problems
    if difference := this.check(reference, root, this.step):
        lost.append(difference)
    if lost:
        tally.fail(LOST, number, f"race of {this.name}: {'; '.join(lost)}")


def _busy(this: Race, ended: Ended) -> bool:
    return bool(this.busy) and ended.documented and this.busy in ended.err


def campaign(reference: Reference, root: Path, tally: Tally) -> Callable[[int], None]:
    return lambda number: race(reference, root, tally, number)
