"""Every problem of a dataset is named: the file, the field, what was found and what expected."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kaggle_hw4 import competition
from kaggle_hw4.data.corpus import pack
from kaggle_hw4.errors import DataError


def edit(dataset: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    path = dataset / f"{name}.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def first(metadata: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    return next(iter(metadata["speakers"].items()))


def problems_of(dataset: Path) -> tuple[str, ...]:
    """The problems that packing reports; it leaves nothing behind."""
    folder = dataset.parent / "workspace" / "packed"
    with pytest.raises(DataError) as caught:
        pack(dataset, folder)
    assert caught.value.exit_code == 4
    assert not list(folder.parent.glob("*")), "a partial file was left"
    return caught.value.problems


def a_feature(dataset: Path) -> Path:
    metadata = json.loads((dataset / "metadata.json").read_text())
    return dataset / first(metadata)[1][0]["feature_path"]


@pytest.mark.parametrize("name", ["metadata", "testdata", "mapping"])
def test_a_missing_json_file_is_named(dataset: Path, name: str) -> None:
    (dataset / f"{name}.json").unlink()
    assert f"{name}.json: the file is missing" in problems_of(dataset)


@pytest.mark.parametrize("name", ["metadata", "testdata", "mapping"])
@pytest.mark.parametrize("content", ["{}", "[]", "null", "[" * 100_000])
def test_an_empty_json_file_is_named(dataset: Path, name: str, content: str) -> None:
    (dataset / f"{name}.json").write_text(content)
    assert any(p.startswith(f"{name}.json: ") for p in problems_of(dataset))


@pytest.mark.parametrize("name", ["metadata", "testdata", "mapping"])
def test_invalid_json_is_named(dataset: Path, name: str) -> None:
    (dataset / f"{name}.json").write_text('{"n_mels": 40, ')
    assert any(f"{name}.json: not readable as JSON" in p for p in problems_of(dataset))


def test_an_empty_folder_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no metadata\.json.*hw4 data"):
        pack(tmp_path, tmp_path / "packed")


T40 = torch.zeros(60, 40)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the file is missing"),
        (b"not a tensor at all", "not a tensor that torch.load reads"),
        (b"", "not a tensor that torch.load reads"),
        ({"mel": T40}, "found a dict, expected a tensor"),
        (T40.to_sparse(), "found a sparse"),
        (T40.to("meta"), "found a sparse, nested or meta tensor"),
        (T40.to(torch.float8_e4m3fn), "found dtype torch.float8_e4m3fn"),
        (torch.zeros(60, 39), "found shape (60, 39)"),
        (torch.zeros(60), "found shape (60,)"),
        (torch.zeros(60, 40, dtype=torch.int64), "found dtype torch.int64, expected float32"),
        (torch.zeros(7, 40), "found 7 frames, expected mel_len"),
        (torch.full_like(T40, torch.nan), "found NaN or infinity in 60 frames, the first is 0"),
        (T40 - torch.inf, "found NaN or infinity in 60 frames"),
        (T40 + 1e6, "found a value of 1e+06, expected natural-log mel energies"),
    ],
)
def test_a_bad_feature_file_is_named(dataset: Path, value: Any, message: str) -> None:
    path = a_feature(dataset)
    edit(dataset, "metadata", lambda m: first(m)[1][0].update(mel_len=60))
    if isinstance(value, bytes):
        path.write_bytes(value)
    elif value is None:
        path.unlink()
    else:
        torch.save(value, path)
    [problem] = problems_of(dataset)
    assert problem.startswith(f"{path.name}: ")
    assert message in problem


def test_a_flipped_bit_in_a_feature_file_is_noticed(dataset: Path) -> None:
    path = a_feature(dataset)
    numbers = torch.load(path, weights_only=True).numpy().tobytes()
    data = bytearray(path.read_bytes())
    data[data.index(numbers) + len(numbers) // 2] ^= 1
    path.write_bytes(data)
    assert "is damaged" in problems_of(dataset)[0]


def test_a_tensor_that_requires_grad_is_packed(dataset: Path, tmp_path: Path) -> None:
    path = a_feature(dataset)
    torch.save(torch.load(path, weights_only=True).requires_grad_(), path)
    assert len(pack(dataset, tmp_path / "packed").ids) == 44


def test_a_pickle_that_would_run_code_is_not_run(dataset: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    torch.save(Bomb(), a_feature(dataset))
    assert "not a tensor that torch.load reads" in problems_of(dataset)[0]
    assert not (tmp_path / "exploded").exists()


def rename(metadata: dict[str, Any]) -> None:
    speaker = first(metadata)[0]
    metadata["speakers"]["id99999"] = metadata["speakers"].pop(speaker)


def keep(count: int) -> Callable[[dict[str, Any]], None]:
    return lambda metadata: metadata["speakers"].update(
        {first(metadata)[0]: first(metadata)[1][:count]}
    )


def set_first(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda metadata: first(metadata)[1][0].update({field: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (keep(0), "found 0 utterances, expected 2"),
        (keep(1), "found 1 utterances, expected 2"),
        (rename, "speakers.id99999: unknown speaker, not in mapping.json"),
        (rename, "has no utterances in metadata.json"),
        (lambda m: first(m)[1].append(first(m)[1][0]), "listed 2 times, expected once"),
        (set_first("feature_path", "../secret.pt"), "[0].feature_path: found '../secret.pt'"),
        (set_first("feature_path", None), "[0].feature_path: found None"),
        (set_first("mel_len", "60"), "[0].mel_len: found '60', expected a number of frames"),
        (set_first("mel_len", 0), "[0].mel_len: found 0, expected a number of frames"),
        (set_first("mel_len", -3), "[0].mel_len: found -3, expected a number of frames"),
        (set_first("mel_len", 1), "frames, expected mel_len 1"),
        (lambda m: m.update(n_mels="40"), "metadata.json: n_mels: found '40'"),
        (lambda m: m.update(n_mels=80), "n_mels: found 40 and 80, expected one number"),
        (lambda m: m.update(speakers=[]), "metadata.json: speakers: found none"),
    ],
)
def test_a_wrong_metadata_field_is_named(dataset: Path, change: Any, message: str) -> None:
    edit(dataset, "metadata", change)
    assert any(message in problem for problem in problems_of(dataset))


def test_a_test_utterance_that_is_also_in_training_is_named(dataset: Path) -> None:
    trained = a_feature(dataset).name
    edit(dataset, "testdata", lambda t: t["utterances"][0].update(feature_path=trained))
    assert any(
        f"testdata.json: {trained}: is in metadata.json too" in p for p in problems_of(dataset)
    )


def test_two_editions_mixed_are_one_problem(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = json.loads((dataset / "metadata.json").read_text())
    trained = [row for rows in metadata["speakers"].values() for row in rows[:2]]
    edit(dataset, "testdata", lambda t: t["utterances"].extend(trained))
    test = json.loads((dataset / "testdata.json").read_text())["utterances"]
    mark = competition.fingerprint(row["feature_path"] for row in test)
    edition = dataclasses.replace(competition.DEFAULT, fingerprint=mark)
    monkeypatch.setattr(competition, "EDITIONS", (edition,))
    words = "is the 2022 edition's, and 8 of its utterances .*: two editions are mixed; use the"
    with pytest.raises(DataError, match=words) as caught:
        pack(dataset, tmp_path / "packed")
    assert not caught.value.problems


def swap(mapping: dict[str, Any]) -> None:
    names = mapping["id2speaker"]
    names["0"], names["1"] = names["1"], names["0"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swap, "mapping.json: id2speaker[0]: found"),
        (lambda m: m["id2speaker"].update({"9": "id1"}), "id2speaker: 5 entries, expected 4"),
        (
            lambda m: m["speaker2id"].update({next(iter(m["speaker2id"])): 7}),
            "not 0 to 3, each once",
        ),
        (lambda m: m.pop("speaker2id"), "found no speaker2id and id2speaker, expected both"),
    ],
)
def test_a_mapping_that_disagrees_is_named(dataset: Path, change: Any, message: str) -> None:
    edit(dataset, "mapping", change)
    assert any(message in problem for problem in problems_of(dataset))


def test_one_run_lists_all_problems(dataset: Path) -> None:
    edit(dataset, "mapping", swap)
    edit(dataset, "testdata", lambda t: t["utterances"].append(t["utterances"][0]))
    torch.save(torch.full((60, 40), torch.nan), a_feature(dataset))
    problems = " | ".join(problems_of(dataset))
    for part in ("mapping.json: id2speaker[0]", "testdata.json: uttr-", a_feature(dataset).name):
        assert part in problems


def test_other_files_of_the_folder_are_ignored(dataset: Path, tmp_path: Path) -> None:
    (dataset / "wav2mel.pt").write_bytes(b"TorchScript, unused")
    assert len(pack(dataset, tmp_path / "packed").ids) == 44
