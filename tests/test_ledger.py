"""The ledger keeps every event, whatever happens to the processes that write it."""

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.kaggle.events import FORMAT, Created, Event, Scored, Submitted
from kaggle_hw4.kaggle.ledger import Ledger


def created(version: str, **more: Any) -> Created:
    return Created(version=version, **more)


def scored(version: str, public: Any, private: Any = None, board: str = "kaggle") -> Scored:
    return Scored(version=version, board=board, public=public, private=private, how="by hand")


def append_fifty(folder: Path, process: int) -> None:
    for n in range(50):
        Ledger(folder).append(created(f"Boss_V{process * 50 + n}", members=["x" * 500]))


def test_eight_processes_append_without_a_torn_line(tmp_path: Path) -> None:
    with ProcessPoolExecutor(8) as pool:
        list(pool.map(append_fifty, [tmp_path] * 8, range(8)))
    lines = (tmp_path / "ledger.jsonl").read_text().splitlines()
    versions = {json.loads(line)["version"] for line in lines}
    assert (len(lines), len(versions)) == (400, 400)


def test_a_torn_last_line_costs_only_itself(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(created("Boss_V1"))
    with ledger.path.open("ab") as file:
        file.write(b'{"event": "created", "version": "Boss_V2", "lab')
    assert [e.version for e in ledger.events()] == ["Boss_V1"]
    ledger.append(created("Boss_V3"))
    assert [e.version for e in ledger.events()] == ["Boss_V1", "Boss_V3"]


@pytest.mark.parametrize("torn", [b"\0" * 64, b"{", b"[1]", b"\xff\xfe", b'{"event": 1}', b"7"])
def test_a_line_that_is_no_event_is_skipped(tmp_path: Path, torn: bytes) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(created("Boss_V1"))
    with ledger.path.open("ab") as file:
        file.write(torn + b"\n")
    ledger.append(created("Boss_V2"))
    assert [entry.version for entry in ledger.entries()] == ["Boss_V1", "Boss_V2"]


def test_what_is_no_number_does_not_reach_the_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(created("Boss_V1"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        ledger.append(created("Boss_V2", weights=[float("nan")]))
    assert [event.version for event in ledger.events()] == ["Boss_V1"]


def test_a_kill_at_any_moment_leaves_a_readable_ledger(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from kaggle_hw4.kaggle.ledger import Ledger\n"
        "from kaggle_hw4.kaggle.events import Created\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1; Ledger(Path(sys.argv[1])).append(Created(version=f'B_V{n}'))"
    )
    ledger = Ledger(tmp_path)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
        before = time.monotonic() + 0.4
        while time.monotonic() < before or not ledger.events():
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    whole = len(ledger.events())
    ledger.append(created("Last_V1"))
    assert len(ledger.events()) == whole + 1


def test_a_changed_and_a_lost_event_are_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for n in range(1, 5):
        ledger.append(created(f"Boss_V{n}", method="uniform"))
    assert ledger.problems() == []
    first, second, third, fourth = ledger.path.read_text().splitlines()
    ledger.path.write_text("\n".join([first, second.replace("uniform", "greedy"), third, fourth]))
    assert [e.version for e in ledger.events()] == ["Boss_V1", "Boss_V3", "Boss_V4"]
    [problem] = ledger.problems()
    assert problem.endswith("line 2 is torn, or was changed by hand")
    ledger.path.write_text("\n".join([first, fourth]))
    assert [problem.split(": ")[1] for problem in ledger.problems()] == [
        "an event is missing before line 2"
    ]
    ledger.append(created("Boss_V5"))
    assert [e.version for e in ledger.events()] == ["Boss_V1", "Boss_V4", "Boss_V5"]


def test_lines_without_a_seal_are_read_as_they_are(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.path.write_text('{"event": "created", "version": "Boss_V1", "at": "then"}\n')
    ledger.append(created("Boss_V2"))
    assert [e.version for e in ledger.events()] == ["Boss_V1", "Boss_V2"]
    assert ledger.problems() == []


def test_unknown_fields_and_kinds_are_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(created("Boss_V1", commit="abc", weather="雨"))
    with ledger.path.open("a") as file:
        file.write('{"event": "praised", "version": "Boss_V1"}\n')
    assert ledger.events()[0].weather == "雨"
    assert ledger.events()[1].event == "praised"
    assert ledger.entries()[0].created == ledger.events()[0]


def test_every_event_is_given_its_time_in_utc(tmp_path: Path) -> None:
    written = Ledger(tmp_path).append(created("Boss_V1"))
    assert written.at.endswith("+00:00")
    assert Ledger(tmp_path).events() == [written]
    assert Ledger(tmp_path).append(created("Boss_V2", at="then")).at == "then"


def test_entries_fold_the_events_of_a_version(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(created("B_V1"))
    ledger.append(created("A_V1"))
    ledger.append(Submitted(version="B_V1", to="web"))
    ledger.append(scored("B_V1", 0.5))
    ledger.append(scored("B_V1", 0.78825))
    ledger.append(scored("B_V1", None, 0.78275))
    ledger.append(scored("B_V1", 0.9, 0.8, board="local"))
    first, second = ledger.entries()
    assert (first.version, second.version) == ("B_V1", "A_V1")
    assert len(first.submissions) == 1
    assert (first.score("public"), first.score("private")) == (0.78825, 0.78275)
    assert first.scores["local"].public == 0.9
    assert not second.scores


def test_a_folder_without_a_ledger_has_no_events(tmp_path: Path) -> None:
    assert Ledger(tmp_path / "new").events() == []


@pytest.mark.parametrize("score", [78.825, -0.1, math.nan, math.inf, "0.78825", True])
def test_a_score_is_a_fraction(tmp_path: Path, score: Any) -> None:
    with pytest.raises(UsageError, match=r"a score is a fraction such as 0\.78825") as raised:
        Ledger(tmp_path).append(scored("Boss_V1", score))
    assert repr(score) in str(raised.value)
    assert Ledger(tmp_path).events() == []


@pytest.mark.parametrize(
    "event",
    [
        lambda: scored("Boss_V1", None),
        lambda: scored("Boss_V1", 0.5, board="wall"),
        lambda: Submitted(version="Boss_V1", to="grandma"),
    ],
)
def test_invalid_events_are_refused(tmp_path: Path, event: Callable[[], Event]) -> None:
    with pytest.raises(UsageError):
        Ledger(tmp_path).append(event())


def test_an_event_of_an_unknown_kind_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not an event of the ledger"):
        Ledger(tmp_path).append(Event(event="praised", version="Boss_V1"))
    assert not Ledger(tmp_path).path.exists()


def test_a_line_says_its_format_and_another_format_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(created("Boss_V1"))
    line = json.loads(ledger.path.read_text())
    assert line["format"] == FORMAT
    ledger.path.write_text(json.dumps(line | {"format": FORMAT + 1}) + "\n")
    with pytest.raises(DataError, match="use the version of hw4 that wrote it"):
        ledger.events()


def test_an_event_cannot_be_changed() -> None:
    event = created("Boss_V1", cv=[{"kind": "session", "accuracy": 0.8}])
    with pytest.raises(ValidationError, match="frozen"):
        event.version = "Boss_V2"
    with pytest.raises(ValidationError, match="frozen"):
        event.cv[0].accuracy = 0.9
