"""A training ends when its time is over: the rest of its schedule is stretched or shortened."""

import signal
import time
from pathlib import Path

import pytest
import torch

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import segment_length
from kaggle_hw4.errors import Stopped
from kaggle_hw4.runs import Run
from kaggle_hw4.training import pacing
from kaggle_hw4.training.checkpoint import State, load_checkpoint, save_checkpoint
from kaggle_hw4.training.loop import start, train_run
from kaggle_hw4.training.loss import margin_at
from kaggle_hw4.training.measure import Cost
from kaggle_hw4.training.optimizer import learning_rate
from kaggle_hw4.training.pacing import Pacer
from kaggle_hw4.training.timeline import Timeline
from tests.conftest import Silent, job, tiny, trained
from tests.test_training import SignalAt, bits, log

CPU = torch.device("cpu")
COST = Cost(step=0.01, validation=0.0, prediction=0.0, memory=0)


class Steps:
    """A limit that leaves just the time of so many steps more, by a clock that a test sets."""

    cost = COST

    def __init__(self, left: float) -> None:
        self.seconds = left

    def left(self, trained: float) -> float:
        return self.seconds - trained


def test_without_breakpoints_the_place_of_a_step_is_the_step() -> None:
    places = [Timeline().place(step) for step in range(100)]
    assert places == list(range(100))
    assert all(isinstance(place, int) for place in places)
    assert Timeline().steps(100) == 100


def test_the_rest_of_a_schedule_is_stretched_and_shortened_without_a_jump() -> None:
    stretched = Timeline().ending(40, 160, planned=100)
    assert [stretched.place(step) for step in (0, 20, 40, 100, 160)] == [0, 20, 40, 70, 100]
    shortened = stretched.ending(100, 115, planned=100)
    assert [shortened.place(step) for step in (40, 100, 105, 115)] == [40, 70, 80, 100]
    assert shortened.steps(100) == 115
    assert shortened.breakpoints == ((40, 40, 0.5), (100, 70, 2), (115, 100, 0))
    again = shortened.ending(100, 130, planned=100)
    assert again.breakpoints == ((40, 40, 0.5), (100, 70, 1), (130, 100, 0))


def test_rate_margin_lengths_and_fine_tuning_are_those_of_the_place() -> None:
    recipe = tiny(
        "boss", "schedule.steps=100", "schedule.warmup_steps=20", "loss.margin_warmup_steps=40",
        "large_margin_fine_tuning.steps=20", "segments.min_fraction=0.5",
        "segments.lengths=growing",
    )  # fmt: skip
    double = Timeline().ending(0, 200, planned=100)
    for step in (0, 10, 30, 79, 80, 99):
        place = double.place(2 * step)
        assert place == step
        rates = [learning_rate(x, recipe.optimizer, recipe.schedule) for x in (step, place)]
        assert rates[0] == rates[1]
        assert margin_at(recipe, step) == margin_at(recipe, place)
        assert segment_length(0, step, recipe) == segment_length(0, 2 * step, recipe, place)
    assert recipe.is_fine_tuning(double.place(160))
    assert not recipe.is_fine_tuning(double.place(159))
    assert segment_length(0, 159, recipe, double.place(159)) == recipe.segments.frames


class Clock:
    """Time that passes only when a test moves it on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(pacing.time, "monotonic", lambda: self.now)


def paced(state: State, clock: Clock, seconds: float, planned: int, speed: list[float]) -> int:
    """The steps of a training of so many seconds, each step as slow as `speed` says, in turn."""
    recipe = tiny("boss", f"schedule.steps={planned}")
    pacer = Pacer(Steps(seconds), state, recipe.schedule)
    while state.step < pacer.steps:
        clock.now += speed[min(len(speed) - 1, int(len(speed) * state.step / planned))]
        state.seconds = clock.now
        state.step += 1
        if pacer.is_due():
            pacer.replan()
    return state.step


@pytest.mark.parametrize(
    "speed", [[0.01], [0.02], [0.005], [0.01, 0.03, 0.01], [0.01, 0.01, 0.01, 0.04]]
)
def test_the_end_is_where_the_time_is_over_whatever_the_speed(
    corpus: Corpus, folds: Folds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    speed: list[float],
) -> None:  # fmt: skip
    state = start(*job(tiny("boss"), corpus, folds, tmp_path)[:3], CPU)
    clock = Clock(monkeypatch)
    steps = paced(state, clock, 20.0, 2000, speed)
    assert clock.now == pytest.approx(20, rel=0.02)
    assert state.timeline.place(steps) == (2000 if state.timeline.breakpoints else steps)
    if speed == [0.01]:
        assert not state.timeline.breakpoints, "as planned: nothing is changed"


def test_a_moment_that_something_else_took_does_not_end_a_training(
    corpus: Corpus, folds: Folds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = start(*job(tiny("boss"), corpus, folds, tmp_path)[:3], CPU)
    clock = Clock(monkeypatch)
    speed = [0.01] * 2000
    speed[700] = 4.0
    assert paced(state, clock, 20.0, 2000, speed) == pytest.approx(1600, rel=0.02)
    assert clock.now == pytest.approx(20, rel=0.02)


def figures(run: Run) -> list[dict[str, float]]:
    """What a run logged, without how many steps it was to have then."""
    return [{key: value for key, value in line.items() if key != "steps"} for line in log(run)]


class Slow(Silent):
    """A monitor of a machine on which every step takes so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def advance(self, step: int) -> None:
        super().advance(step)
        time.sleep(self.seconds)


def test_a_stretched_run_resumes_with_its_breakpoints_and_their_bits(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    recipe = tiny("boss", "schedule.steps=60", "schedule.validate_every=60")
    stopped = job(recipe, corpus, folds, tmp_path / "stopped")
    begin = time.monotonic()
    manifest = train_run(*stopped, CPU, Slow(0.05), limit=Steps(6.0))
    assert time.monotonic() - begin == pytest.approx(6, abs=2)
    assert 60 < manifest.steps < 130
    assert manifest.breakpoints[-1] == (manifest.steps, 60, 0)
    assert stopped.run.manifest() == manifest, "the seal covers them"

    # The same breakpoints, set from the start: the same bits; also stopped on the way.
    parts = job(recipe, corpus, folds, tmp_path / "again")
    parts.run.folder.mkdir(parents=True)
    state = start(*parts[:3], CPU)
    state.timeline = Timeline(manifest.breakpoints)
    save_checkpoint(parts.run.checkpoint, state)
    with pytest.raises(Stopped):
        train_run(*parts, CPU, SignalAt(50, signal.SIGTERM))
    assert train_run(*parts, CPU, Silent()).breakpoints == manifest.breakpoints
    assert bits(parts.run) == bits(stopped.run)
    assert figures(parts.run) == figures(stopped.run)
    assert log(stopped.run)[-1]["steps"] == manifest.steps


def test_a_kill_costs_a_tenth_of_a_short_time_at_most(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    recipe = tiny("boss")
    state = start(*job(recipe, corpus, folds, tmp_path)[:3], CPU)
    limits = (None, Steps(9000.0), Steps(90.0))
    pacers = [Pacer(limit, state, recipe.schedule) for limit in limits]
    assert [pacer.between_checkpoints(60.0) for pacer in pacers] == [60, 60, 9]


def test_a_run_without_a_limit_has_the_manifest_and_the_checkpoint_of_its_schedule(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    run = trained(tiny("boss"), corpus, folds, tmp_path)
    assert run.manifest().breakpoints == ()
    state = start(*job(tiny("boss"), corpus, folds, tmp_path)[:3], CPU)
    load_checkpoint(run.checkpoint, state, CPU)
    assert state.timeline == Timeline()
