"""A state machine of Hypothesis: train, kill, resume, corrupt, delete, ensemble, submit, forget.

The model knows which runs are finished, which files are broken and which versions exist. Attempt
`number` is a few lives of the machine; each step's command must do what the model says.
"""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kaggle_hw4.cli.leaderboard import leaderboard
from kaggle_hw4.kaggle.ledger import Ledger
from tests.torture.chain import CHAIN, ENSEMBLE, SETTINGS, SUBMIT, TRAIN, Reference, Words, result
from tests.torture.forks import Ended, run
from tests.torture.operations import Operations
from tests.torture.report import HANG, TRACEBACK, WRONG, Tally

LIVES, STEPS = 6, 20
HURRY = 30.0  # seconds that are left: fewer lives

BEFORE_TRAINING = CHAIN.index(TRAIN)
FOLDS = 2
CAN_FORGET = any(command.name == "forget" for command in leaderboard.registered_commands)


class Life(RuleBasedStateMachine):
    """A workspace with a corpus and two folds, and what must be in it."""

    reference: Reference
    root: Path
    tally: Tally

    def __init__(self) -> None:
        super().__init__()
        self.reference.restore(self.root, BEFORE_TRAINING)
        self.finished: set[int] = set()
        self.broken: set[int] = set()  # finished runs with spoiled logits
        self.versions: dict[str, frozenset[int]] = {}  # intact submissions, by their folds
        self.spoiled: set[str] = set()  # submissions whose file has changed
        self.numbers = 0  # versions ever
        self.scored: set[str] = set()  # versions with a score on the local board
        self.tally.tried += 1

    @initialize()
    def begin(self) -> None:
        """Half of the folds are trained, so that there is something to blend."""
        self.train(0, 0)

    def hw4(self, *words: str, stop_at: int = 0) -> Ended:
        operations = Operations(self.root, stop_at)
        ended = run(self.root, *words, prepare=operations.install)
        assert not ended.hung, f"{HANG}: hw4 {' '.join(words[:2])}"
        assert not ended.traceback, f"{TRACEBACK}: {ended.reason}"
        assert ended.code in (0, -9) or ended.documented, ended.reason
        return ended

    def folder(self, fold: int) -> Path:
        return next(self.root.glob(f"runs/*/fold{fold}-seed0"))

    @precondition(lambda self: len(self.finished) < FOLDS)
    @rule(stop_at=st.sampled_from((0, 0, 5, 20, 35, 50, 60, 70)), which=st.integers(0, 1))
    def train(self, stop_at: int, which: int) -> None:
        """A fold that is not finished is trained, or killed and left."""
        fold = which if which not in self.finished else 1 - which
        ended = self.hw4(*training(fold), stop_at=stop_at)
        done = any(self.root.glob(f"runs/*/fold{fold}-seed0/run.json"))
        assert (done, ended.code) in ((True, 0), (True, -9), (False, -9)), ended.reason
        if done:
            self.finished.add(fold)

    @precondition(lambda self: self.finished - self.broken)
    @rule(name=st.sampled_from(("oof", "test")), place=st.integers(0, 10**6))
    def corrupt_logits(self, name: str, place: int) -> None:
        fold = min(self.finished - self.broken)
        path = self.folder(fold) / f"{name}.safetensors"
        data = bytearray(path.read_bytes())
        data[place % len(data)] ^= 1
        path.write_bytes(bytes(data))
        self.broken.add(fold)

    @precondition(lambda self: self.broken)
    @rule()
    def predict(self) -> None:
        """Spoiled logits are made again from the weights."""
        assert self.hw4("predict", "runs").code == 0
        self.broken.clear()

    @precondition(lambda self: self.finished)
    @rule(which=st.integers(0, 1))
    def delete(self, which: int) -> None:
        fold = which if which in self.finished else 1 - which
        shutil.rmtree(self.folder(fold))
        self.finished.discard(fold)
        self.broken.discard(fold)

    @precondition(lambda self: self.finished)
    @rule(stop_at=st.sampled_from((0, 5, 10, 14, 18, 22, 26)))
    def ensemble(self, stop_at: int) -> None:
        """A new version where these runs have none whose file is intact; else the same one."""
        if stop_at:
            self.hw4(*ENSEMBLE, stop_at=stop_at)
        ended = self.hw4(*ENSEMBLE, "--json")
        if self.broken:
            assert ended.code == 4, ended.reason
            return
        assert ended.code == 0, ended.reason
        folds, versions = frozenset(self.finished), self.versions
        if folds not in versions.values():
            self.numbers += 1
            versions[f"Boss_V{self.numbers}"] = folds
        expected = next(name for name, each in versions.items() if each == folds)
        assert f'"version": "{expected}"' in ended.out, f"not {expected}"

    @precondition(lambda self: self.scored & self.versions.keys())
    @rule()
    def spoil_submission(self) -> None:
        version = min(self.scored & self.versions.keys())
        with (self.root / "submissions" / f"output_{version}.csv").open("a") as file:
            file.write("\n")
        self.versions.pop(version, None)
        self.spoiled.add(version)

    @precondition(lambda self: self.numbers)
    @rule(number=st.integers(0, 10**6), stop_at=st.sampled_from((0, 2, 4, 5, 6, 8)))
    def submit(self, number: int, stop_at: int) -> None:
        """One score for each version, however often it is submitted and killed."""
        version = self.version(number)
        if stop_at:
            self.hw4(*SUBMIT, version, stop_at=stop_at)
        ended = self.hw4(*SUBMIT, version)
        if version in self.spoiled:
            assert ended.code == 4, ended.reason
        else:
            assert ended.code == 0, ended.reason
            self.scored.add(version)

    @precondition(lambda self: CAN_FORGET and self.numbers)
    @rule(number=st.integers(0, 10**6))
    def forget(self, number: int) -> None:
        version = min(self.scored) if self.scored and number % 4 else self.version(number)
        ended = self.hw4("leaderboard", "forget", version, "--board", "local")
        assert ended.code == (0 if version in self.scored else 2), ended.reason
        self.scored.discard(version)

    @invariant()
    def the_board_shows_the_scores(self) -> None:
        entries = Ledger(self.root / "submissions").entries()
        scored = {entry.version for entry in entries if "local" in entry.scores}
        assert scored == self.scored, f"{scored}, not {self.scored}"
        twice = [entry.version for entry in entries if len(entry.submissions) > 1]
        assert not twice, f"submitted twice: {twice}"

    @invariant()
    def ledger_is_whole(self) -> None:
        ledger = Ledger(self.root / "submissions")
        assert not ledger.problems(), ledger.problems()
        created = [event.version for event in ledger.events() if event.event == "created"]
        assert len(created) == len(set(created)) == self.numbers, f"{created}: {self.numbers}"

    @invariant()
    def finished_runs_have_the_undisturbed_weights(self) -> None:
        names = [f"{self.folder(f).relative_to(self.root)}/ema.safetensors" for f in self.finished]
        expected, actual = self.reference.results[-1], result(self.root / "runs")
        assert all(actual[name.removeprefix("runs/")] == expected[name] for name in names)

    def version(self, number: int) -> str:
        """One of the versions that there are, more often an intact one."""
        names = [*self.versions, *self.versions, *self.spoiled]
        return sorted(names)[number % len(names)]


def training(fold: int) -> Words:
    return ("train", "--variant", "boss", "--fold", str(fold), *SETTINGS)


def campaign(reference: Reference, root: Path, tally: Tally) -> Callable[[int], None]:
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(root.parent / "hypothesis")

    def limits() -> settings:
        return settings(
            max_examples=LIVES if time.monotonic() + HURRY < tally.until else 2,
            stateful_step_count=STEPS,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )

    def attempt(number: int) -> None:
        life = type("Life", (Life,), {"reference": reference, "root": root, "tally": tally})
        try:
            run_state_machine_as_test(seed(1000 * tally.seed + number)(life), settings=limits())
        except AssertionError as error:
            kind = next((kind for kind in (HANG, TRACEBACK) if str(error).startswith(kind)), WRONG)
            notes = "; ".join(line.strip() for line in getattr(error, "__notes__", []))
            tally.fail(kind, number, f"{str(error).splitlines()[0]} after {notes}")

    return attempt
