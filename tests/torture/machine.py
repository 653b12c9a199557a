"""A state machine of Hypothesis: train, kill, resume, corrupt, delete, ensemble, submit, forget.

The model knows which runs are finished, which files are broken and which versions exist. Attempt
`number` is a few lives of the machine; each step's command must do what the model says.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
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

LIVES, STEPS = 2, 15
BEFORE_TRAINING = CHAIN.index(TRAIN)
FOLDS = st.sampled_from((0, 1))
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
        self.tally.tried += 1

    def hw4(self, *words: str, stop_at: int = 0) -> Ended:
        operations = Operations(self.root, stop_at)
        ended = run(self.root, *words, prepare=operations.install)
        assert not ended.hung, f"{HANG}: hw4 {' '.join(words[:2])}"
        assert not ended.traceback, f"{TRACEBACK}: {ended.reason}"
        assert ended.code in (0, -9) or ended.documented, ended.reason
        return ended

    def folder(self, fold: int) -> Path:
        return next(self.root.glob(f"runs/*/fold{fold}-seed0"))

    @rule(fold=FOLDS)
    def train(self, fold: int) -> None:
        assert self.hw4(*training(fold)).code == 0
        self.finished.add(fold)

    @rule(fold=FOLDS, stop_at=st.integers(1, 120))
    def kill_training(self, fold: int, stop_at: int) -> None:
        ended = self.hw4(*training(fold), stop_at=stop_at)
        done = any(self.root.glob(f"runs/*/fold{fold}-seed0/run.json"))
        assert done or ended.code == -9
        if done:
            self.finished.add(fold)

    @precondition(lambda self: self.finished)
    @rule(fold=FOLDS, name=st.sampled_from(("oof", "test")), place=st.integers(0, 10**6))
    def corrupt_logits(self, fold: int, name: str, place: int) -> None:
        if fold in self.finished:
            path = self.folder(fold) / f"{name}.safetensors"
            data = bytearray(path.read_bytes())
            data[place % len(data)] ^= 1
            path.write_bytes(bytes(data))
            self.broken.add(fold) if fold not in self.broken else self.delete(fold)

    @precondition(lambda self: self.finished)
    @rule()
    def predict(self) -> None:
        """Spoiled logits are made again from the weights."""
        assert self.hw4("predict", "runs").code == 0
        self.broken.clear()

    @rule(fold=FOLDS)
    def delete(self, fold: int) -> None:
        for folder in self.root.glob(f"runs/*/fold{fold}-seed0"):
            shutil.rmtree(folder)
        self.finished.discard(fold)
        self.broken.discard(fold)

    @rule(stop_at=st.one_of(st.just(0), st.integers(1, 30)))
    def ensemble(self, stop_at: int) -> None:
        """A new version where these runs have none whose file is intact; else the same one."""
        (self.root / "runs").mkdir(exist_ok=True)
        if stop_at:
            self.hw4(*ENSEMBLE, stop_at=stop_at)
        ended = self.hw4(*ENSEMBLE, "--json")
        if self.broken or not self.finished:
            assert ended.code == 4, ended.reason
            return
        assert ended.code == 0, ended.reason
        folds, versions = frozenset(self.finished), self.versions
        if folds not in versions.values():
            self.numbers += 1
            versions[f"Boss_V{self.numbers}"] = folds
        expected = next(name for name, each in versions.items() if each == folds)
        assert f'"version": "{expected}"' in ended.out, f"not {expected}"

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def spoil_submission(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.versions)))
        with (self.root / "submissions" / f"output_{version}.csv").open("a") as file:
            file.write("\n")
        del self.versions[version]
        self.spoiled.add(version)

    @precondition(lambda self: self.versions or self.spoiled)
    @rule(data=st.data())
    def submit(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted([*self.versions, *self.spoiled])))
        before = self.scores(version)
        ended = self.hw4(*SUBMIT, version)
        assert ended.code == (4 if version in self.spoiled else 0), ended.reason
        assert self.scores(version) >= before
        assert ended.code or self.scores(version)

    @precondition(lambda self: CAN_FORGET and self.versions)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.versions)))
        scores = self.scores(version)
        ended = self.hw4("leaderboard", "forget", version)
        assert ended.code == 0 or not scores, ended.reason

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

    def scores(self, version: str) -> int:
        events = Ledger(self.root / "submissions").events()
        return sum(event.event == "scored" and event.version == version for event in events)


def training(fold: int) -> Words:
    return ("train", "--variant", "boss", "--fold", str(fold), *SETTINGS)


def campaign(reference: Reference, root: Path, tally: Tally) -> Callable[[int], None]:
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(root.parent / "hypothesis")

    def attempt(number: int) -> None:
        life = type("Life", (Life,), {"reference": reference, "root": root, "tally": tally})
        try:
            run_state_machine_as_test(
                seed(1000 * tally.seed + number)(life),
                settings=settings(
                    max_examples=LIVES, stateful_step_count=STEPS, database=None, deadline=None,
                    phases=[Phase.generate], suppress_health_check=list(HealthCheck),
                ),
            )  # fmt: skip
        except AssertionError as error:
            kind = next((kind for kind in (HANG, TRACEBACK) if str(error).startswith(kind)), WRONG)
            notes = "; ".join(line.strip() for line in getattr(error, "__notes__", []))
            tally.fail(kind, number, f"{str(error).splitlines()[0]} after {notes}")

    return attempt
