"""hw4 runs export: what runs have logged, as CSV and as TensorBoard's event files."""

import csv
import json
from pathlib import Path

import pytest

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.event_files import Event, crc32c, masked_crc, read_events, write_events
from tests.conftest import tiny, trained
from tests.test_cli import run


def test_the_checksum_is_crc_32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of the CRC catalogue
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert masked_crc(b"") == 0xA282EAD8


def test_an_event_file_has_the_bytes_that_tensorboard_reads() -> None:
    data = write_events([Event(1.0, 300, {"a": 0.5})])
    head = b"\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x1a\x0dbrain.Event:2"
    summary = b"\x2a\x0a\x0a\x08\x0a\x01a\x15\x00\x00\x00\x3f"
    event = b"\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\xac\x02" + summary
    sizes = [len(part).to_bytes(8, "little") for part in (head, event)]
    assert data[:8] == sizes[0]
    assert data[12 : 12 + len(head)] == head
    rest = data[16 + len(head) :]
    assert rest[:8] == sizes[1]
    assert rest[12 : 12 + len(event)] == event
    assert len(rest) == 16 + len(event)


def test_events_are_read_as_they_were_written_and_a_damaged_file_is_not() -> None:
    events = [Event(1e9 + i, 2**i, {"training/loss": 1 / 2**i}) for i in range(20)]
    data = write_events(events)
    assert list(read_events(data))[1:] == events
    with pytest.raises(ValueError, match="damaged"):
        list(read_events(data[:-5] + b"\x00" + data[-4:]))


def test_metrics_are_exported_for_both(
    corpus: Corpus, folds: Folds, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished = trained(tiny("boss"), corpus, folds, tmp_path / "runs")
    logged = [json.loads(line) for line in finished.metrics.read_text().splitlines()]
    place = ("--workspace", tmp_path)
    assert run("runs", "export", *place) == 0
    assert f"metrics.csv: {len(logged)} lines of 1 runs" in capsys.readouterr().out
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == [line["loss"] for line in logged]
    assert [int(row["step"]) for row in rows] == [2, 4]
    assert rows[0]["run"] == finished.name
    for _ in range(2):  # again: replaced
        assert run("runs", "export", "--format", "tensorboard", *place) == 0
    [path] = (tmp_path / "tensorboard" / finished.name).iterdir()
    events = list(read_events(path.read_bytes()))[1:]
    assert [event.step for event in events] == [2, 4]
    names = {"loss", "accuracy", "learning_rate"}
    groups = {f"training/{n}" for n in names} | {"validation/accuracy", "validation/loss"}
    assert set(events[0].scalars) == groups
    assert events[1].scalars["training/loss"] == pytest.approx(logged[1]["loss"])
    assert ".tfevents." in path.name


def test_a_wrong_format_and_an_empty_folder_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").mkdir()
    assert run("runs", "export", "--format", "xml", "--workspace", tmp_path) == 2
    assert (
        "--format: there is no format 'xml'; choose csv or tensorboard" in capsys.readouterr().err
    )
    assert run("runs", "export", "--workspace", tmp_path) == 4
    assert "have logged nothing yet" in capsys.readouterr().err
