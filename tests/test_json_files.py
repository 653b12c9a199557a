"""JSON as people hand it on is packed where its meaning is plain, and named where it is not."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kaggle_hw4.data.corpus import pack
from kaggle_hw4.errors import DataError
from tests.test_official import edit, first, problems_of


def rows_of(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for rows in metadata["speakers"].values() for row in rows]


def change_rows(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], None]:
    return lambda metadata: [change(row) for row in rows_of(metadata)] and None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_of_any_unicode_encoding_is_packed(
    dataset: Path, tmp_path: Path, encoding: str
) -> None:
    for path in dataset.glob("*.json"):
        path.write_text(path.read_text(), encoding=encoding, newline="\r\n")
    assert len(pack(dataset, tmp_path / "packed").ids) == 44


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.update(mel_len=float(row["mel_len"])),
        lambda row: row.update(feature_path="./" + row["feature_path"]),
        lambda row: row.update(feature_path="./Dataset/" + row["feature_path"]),
        lambda row: row.update(feature_path="Dataset\\" + row["feature_path"]),
        lambda row: row.update(length=3.2),
    ],
)
def test_what_is_plain_is_packed_the_same(dataset: Path, tmp_path: Path, change: Any) -> None:
    expected = pack(dataset, tmp_path / "expected")
    edit(dataset, "metadata", change_rows(change))
    edit(
        dataset,
        "mapping",
        lambda m: m["speaker2id"].update({k: str(v) for k, v in m["speaker2id"].items()}),
    )
    assert pack(dataset, tmp_path / "packed").hash == expected.hash


def test_the_ids_of_speakers_suffice(dataset: Path, tmp_path: Path) -> None:
    edit(dataset, "mapping", lambda m: m.pop("id2speaker"))
    assert len(pack(dataset, tmp_path / "packed").speakers) == 4


@pytest.mark.parametrize("folder", ["Dataset/Dataset", "ml2022spring-hw4", "Dataset/v1"])
def test_a_dataset_deeper_in_a_folder_is_packed(dataset: Path, tmp_path: Path, folder: str) -> None:
    target = tmp_path / "download" / folder
    (tmp_path / "download" / "__MACOSX").mkdir(parents=True)
    target.parent.mkdir(exist_ok=True)
    dataset.rename(target)
    assert len(pack(tmp_path / "download", tmp_path / "packed").ids) == 44


def test_one_of_two_datasets_is_not_chosen(dataset: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "both" / name).mkdir(parents=True)
        (tmp_path / "both" / name / "metadata.json").write_text("{}")
    with pytest.raises(DataError, match="holds 2 datasets, a and b"):
        pack(tmp_path / "both", tmp_path / "packed")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.update(mel_len=row["mel_len"] + 0.5), "speakers."),
        (lambda row: row.update(mel_len=1e300), "mel_len: found 1e+300"),
        (lambda row: row.update(feature_path="/data/" + row["feature_path"]), "found '/data/"),
        (lambda row: row.update(feature_path="a/../" + row["feature_path"]), "found 'a/../"),
        (lambda row: row.update(feature_path="C:\\" + row["feature_path"]), "found 'C:"),
    ],
)
def test_problems_of_one_kind_are_one_line(dataset: Path, change: Any, message: str) -> None:
    edit(dataset, "metadata", change_rows(change))
    count = len(rows_of(json.loads((dataset / "metadata.json").read_text())))
    [problem] = (p for p in problems_of(dataset) if message in p and "expected 2" not in p)
    assert problem.endswith(f"(and {count - 1} more of this kind)")


def test_missing_files_are_one_line(dataset: Path) -> None:
    for path in dataset.glob("*.pt"):
        path.unlink()
    [problem] = problems_of(dataset)
    assert problem.endswith("the file is missing (and 43 more of this kind)")


def test_a_speaker_that_stands_twice_is_named(dataset: Path) -> None:
    path = dataset / "metadata.json"
    metadata = json.loads(path.read_text())
    speaker, rows = first(metadata)
    text = json.dumps(metadata)
    again = f'"speakers": {{{json.dumps(speaker)}: {json.dumps(rows[:2])}, '
    path.write_text(text.replace('"speakers": {', again, 1))
    [problem] = problems_of(dataset)
    assert problem.startswith(f"metadata.json: the key {speaker!r} stands twice")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": ' * 100_000, "nested too deeply"),
        ('{"n_mels": ' + "9" * 5000 + "}", "limit"),
        ('{"n_mels": "\udcff"}', "utf-8"),
    ],
)
def test_hostile_json_is_one_problem(dataset: Path, text: str, reason: str) -> None:
    (dataset / "testdata.json").write_bytes(text.encode(errors="surrogateescape"))
    [problem] = problems_of(dataset)
    assert problem.startswith("testdata.json: not readable as JSON (")
    assert reason in problem


@pytest.mark.parametrize("name", ["metadata.json", "feature"])
def test_a_pipe_in_the_place_of_a_file_is_named(dataset: Path, name: str) -> None:
    feature = first(json.loads((dataset / "metadata.json").read_text()))[1][0]["feature_path"]
    path = dataset / (feature if name == "feature" else name)
    path.unlink()
    os.mkfifo(path)
    assert any("not a regular file" in problem for problem in problems_of(dataset))


def test_a_loop_of_links_is_one_problem(dataset: Path) -> None:
    (dataset / "mapping.json").unlink()
    (dataset / "mapping.json").symlink_to(dataset / "mapping.json")
    [problem] = problems_of(dataset)
    assert problem.startswith("mapping.json: not readable as JSON")
