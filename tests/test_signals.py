"""A signal ends what is running as an interruption, and the second Ctrl-C ends it at once."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kaggle_hw4.data import official
from kaggle_hw4.data.official import read_features, read_official
from kaggle_hw4.errors import DataError, Hw4Error, Interrupted, Shutdown, Stopped
from kaggle_hw4.models.build import build_model
from kaggle_hw4.signals import SIGNALS, end_at_once, graceful_shutdown, unwind
from kaggle_hw4.training import checkpoint
from kaggle_hw4.training.checkpoint import State, load_checkpoint
from kaggle_hw4.training.optimizer import make_optimizer
from tests.conftest import tiny

CPU = torch.device("cpu")
# Starts the command line of hw4, and prints a line once its handlers are in place.
START = """
import signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import kaggle_hw4.cli as cli
def loop(work):
    print("ready", flush=True)
    while True:
        work()
def command(work):
    cli.app = lambda _: loop(work)
    cli.main([])
"""


def end_of(code: str, *signals: int) -> tuple[int, str]:
    """The exit code and stderr of a command that is sent signals while it runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", START + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.readline()
    for number in signals:
        time.sleep(0.25)
        process.send_signal(number)
    try:
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, error


def test_a_shutdown_is_no_exception_that_a_library_could_take_for_its_own() -> None:
    assert not issubclass(Shutdown, Exception)
    assert {kind.exit_code for kind in (Stopped, Interrupted)} == {75, 130}
    assert not issubclass(Shutdown, Hw4Error)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGHUP, 75)]
)
def test_a_signal_is_not_swallowed_where_exceptions_are(number: int, code: int) -> None:
    work = """
def work():
    try: time.sleep(0.1)
    except Exception: pass
command(work)
"""
    assert end_of(work, number) == (code, "hw4: stopped; run the same command again\n")


def test_a_signal_in_a_finalizer_is_delivered_once_more() -> None:
    work = """
class Finalized:
    def __del__(self): signal.raise_signal(signal.SIGINT)
def work():
    Finalized()
    time.sleep(60)
command(work)
"""
    assert end_of(work) == (130, "hw4: stopped; run the same command again\n")


def test_a_second_interrupt_ends_at_once_and_silently() -> None:
    work = """
def work():
    try: time.sleep(60)
    finally: time.sleep(60)
command(work)
"""
    start = time.monotonic()
    assert end_of(work, signal.SIGINT, signal.SIGINT) == (130, "")
    assert time.monotonic() - start < 30


def test_a_second_interrupt_ends_a_step_that_takes_long() -> None:
    work = """
from kaggle_hw4.signals import graceful_shutdown
def work():
    with graceful_shutdown(), graceful_shutdown():
        until = time.monotonic() + 60
        while time.monotonic() < until: time.sleep(0.1)
command(work)
"""
    assert end_of(work, signal.SIGINT, signal.SIGINT) == (130, "")


def test_a_terminal_that_is_closed_ends_as_a_stop() -> None:
    """Whatever is still written to it: a bar, the message."""
    work = """
def work():
    try: time.sleep(60)
    finally: print("words", file=sys.stderr, flush=True)
command(work)
"""
    child, terminal = pty.fork()
    if not child:
        os.execv(sys.executable, [sys.executable, "-c", START + work])
    while b"ready" not in os.read(terminal, 1000):
        pass
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 75


def test_a_hangup_is_ignored_where_nohup_asked_for_it() -> None:
    work = """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
command(lambda: time.sleep(0.1))
"""
    code, _ = end_of(work, signal.SIGHUP, signal.SIGTERM)
    assert code == 75


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, Interrupted), (signal.SIGTERM, Stopped), (signal.SIGHUP, Stopped)],
)
def test_a_block_that_finishes_all_the_same_does_not_lose_the_signal(
    number: int, error: type[Shutdown]
) -> None:
    # From Python the handler is as before; in the command line a second Ctrl-C ends at once.
    for before, after in ((signal.SIG_DFL, signal.SIG_DFL), (unwind, end_at_once)):
        signal.signal(number, before)
        with (
            pytest.raises(error, match="stopped; the same command resumes it"),
            graceful_shutdown(),
        ):
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) is after


def test_a_signal_before_an_inner_block_stops_that_block_too() -> None:
    """Ctrl-C while torch is being imported: the training that follows is not to run for hours."""
    signal.signal(signal.SIGINT, unwind)

    def run_all() -> None:
        with graceful_shutdown():
            os.kill(os.getpid(), signal.SIGINT)
            with graceful_shutdown() as inner:
                assert inner.signal == signal.SIGINT
                raise inner.error("stopped after step 1")

    with pytest.raises(Interrupted, match="after step 1"):
        run_all()
    assert signal.getsignal(signal.SIGINT) is end_at_once


def test_a_signal_that_an_inner_block_took_leaves_no_handler_that_raises() -> None:
    """A second Ctrl-C while the message of the first is written: no traceback."""
    for number in SIGNALS:
        signal.signal(number, unwind)

    def train() -> None:
        with graceful_shutdown(), graceful_shutdown() as inner:
            os.kill(os.getpid(), signal.SIGINT)
            raise inner.error("stopped")

    with pytest.raises(Interrupted):
        train()
    assert {signal.getsignal(number) for number in SIGNALS} == {end_at_once}


def interrupting(*_: object, **__: object) -> None:
    unwind(signal.SIGINT, None)


def starving(*_: object, **__: object) -> None:
    raise MemoryError


@pytest.fixture(autouse=True)
def handlers() -> object:
    """The handlers as they were: `unwind` replaces them."""
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


ENDS = [(interrupting, Interrupted), (starving, MemoryError)]


@pytest.mark.parametrize(("work", "error"), ENDS)
def test_an_interrupted_read_is_no_damaged_dataset(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[..., None], error: type
) -> None:
    opened = read_official(dataset)
    monkeypatch.setattr(official.torch, "load", work)
    with pytest.raises(error):
        read_features(opened, opened.utterances[0])
    assert not opened.problems


@pytest.mark.parametrize(("work", "error"), ENDS)
def test_an_interrupted_read_is_no_damaged_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[..., None], error: type
) -> None:
    recipe = tiny("simple")
    model = build_model(recipe, 4)
    state = State.start(model, make_optimizer(model, recipe.optimizer), CPU)
    checkpoint.save_checkpoint(tmp_path / "checkpoint.pt", state)
    monkeypatch.setattr(checkpoint.torch, "load", work)
    with pytest.raises(error):
        load_checkpoint(tmp_path / "checkpoint.pt", state, CPU)
    with pytest.raises(DataError, match="delete it"):
        load_checkpoint(tmp_path / "missing.pt", state, CPU)
