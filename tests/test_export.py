"""hw4 runs export: what runs have logged, as CSV and as TensorBoard's event files."""

import csv
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from tests.conftest import tiny, trained
from tests.test_cli import run


def read_events(path: Path) -> Iterator[Event]:
    """The events of a file, which is a sequence of records: length, checksum, data, checksum."""
    data = path.read_bytes()
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        yield Event.FromString(data[12 : 12 + size])
        data = data[16 + size :]


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
    events = [event for event in read_events(path) if event.summary.value]
    scalars = {(e.step, v.tag): v.simple_value for e in events for v in e.summary.value}
    names = {"training/loss", "training/accuracy", "training/learning_rate"}
    names |= {"validation/accuracy", "validation/loss"}
    assert set(scalars) == {(step, name) for step in (2, 4) for name in names}
    assert scalars[4, "training/loss"] == pytest.approx(logged[1]["loss"])
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
