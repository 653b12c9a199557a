"""The synthetic corpus has the official layout and is a function of its arguments."""

import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.synth.corpus import speaker_name, write_corpus

SMALL: dict[str, Any] = {"sessions": 2, "utterances": 2, "test_utterances": 2, "frames": 95}


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("corpus") / "synth"
    write_corpus(out, speakers=4, **SMALL)
    return out


def read(synthetic: Path, name: str) -> Any:
    return json.loads((synthetic / "Dataset" / f"{name}.json").read_text())


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}


def test_the_layout_is_the_official_one(synthetic: Path) -> None:
    metadata, test, mapping = (read(synthetic, n) for n in ("metadata", "testdata", "mapping"))
    assert metadata["n_mels"] == test["n_mels"] == 40
    rows = [row for rows in metadata["speakers"].values() for row in rows] + test["utterances"]
    files = {path.name for path in (synthetic / "Dataset").glob("uttr-*.pt")}
    assert files == {row["feature_path"] for row in rows} and len(files) == len(rows) == 32
    assert {key for row in rows for key in row} == {"feature_path", "mel_len"}
    assert mapping["speaker2id"].keys() == metadata["speakers"].keys()
    assert mapping["id2speaker"] == {str(v): k for k, v in mapping["speaker2id"].items()}


def test_features_own_their_storage(synthetic: Path) -> None:
    for row in read(synthetic, "testdata")["utterances"]:
        features = torch.load(synthetic / "Dataset" / row["feature_path"], weights_only=True)
        assert features.shape == (row["mel_len"], 40) and features.dtype == torch.float32
        assert features.is_contiguous()
        assert features.untyped_storage().nbytes() == 4 * features.numel()


def test_test_sessions_are_unseen(synthetic: Path) -> None:
    test = {row["feature_path"] for row in read(synthetic, "testdata")["utterances"]}
    sessions: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
    for row in table(synthetic / "sessions.csv"):
        sessions[row["Id"] in test].add((row["Speaker"], row["Session"]))
    assert len(sessions[True]) == len(sessions[False]) == 8
    assert not sessions[True] & sessions[False]


def test_truth_is_in_test_order_and_mixes_the_speakers(synthetic: Path) -> None:
    truth = table(synthetic / "truth.csv")
    test = read(synthetic, "testdata")["utterances"]
    assert [row["Id"] for row in truth] == [row["feature_path"] for row in test]
    speakers = [row["Category"] for row in truth]
    assert set(speakers) == set(read(synthetic, "metadata")["speakers"])
    assert sum(a != b for a, b in pairwise(speakers)) > len(set(speakers))


def test_same_seed_same_bytes(synthetic: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path / "again", speakers=4, **SMALL)
    assert contents(tmp_path / "again") == contents(synthetic)


def test_another_seed_shares_no_file(synthetic: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path / "other", speakers=1, seed=1, **SMALL)
    files = contents(tmp_path / "other").keys() & contents(synthetic).keys()
    assert not [name for name in files if name.startswith("uttr-")]


def test_an_utterance_does_not_depend_on_how_many_speakers_there_are(
    synthetic: Path, tmp_path: Path
) -> None:
    write_corpus(tmp_path / "fewer", speakers=2, **SMALL)
    fewer, more = contents(tmp_path / "fewer"), contents(synthetic)
    files = [name for name in fewer if name.startswith("uttr-")]
    assert len(files) == 16 and all(fewer[name] == more[name] for name in files)


def test_600_speakers_have_600_names() -> None:
    names = [speaker_name(0, speaker) for speaker in range(600)]
    assert len(set(names)) == 600 and {len(name) for name in names} == {7}


def test_an_existing_folder_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="exists already"):
        write_corpus(tmp_path, speakers=1, **SMALL)
    assert contents(tmp_path) == {"mine.txt": b"mine"}


def test_a_corpus_of_the_same_arguments_is_found_and_another_is_refused(tmp_path: Path) -> None:
    counts = write_corpus(tmp_path / "out", speakers=1, **SMALL)
    before = contents(tmp_path / "out")
    assert write_corpus(tmp_path / "out", speakers=1, **SMALL) == counts
    for other in ({"speakers": 2}, {"seed": 1}, {"frames": 96}, {"utterances": 3}):
        with pytest.raises(DataError, match="a corpus of other sizes, or another seed"):
            write_corpus(tmp_path / "out", **{"speakers": 1, **SMALL, **other})
    assert contents(tmp_path / "out") == before
    next(tmp_path.glob("out/Dataset/*.pt")).unlink()
    with pytest.raises(DataError, match="utterances of it are missing"):
        write_corpus(tmp_path / "out", speakers=1, **SMALL)


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_corpus(tmp_path / "out", speakers=1, **SMALL)
    assert (tmp_path / "out" / "Dataset" / "metadata.json").is_file()


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_corpus(tmp_path / "out", speakers=1, progress=interrupt, **SMALL)
    assert not list(tmp_path.iterdir())


def test_progress_and_result_count_the_utterances_written(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    counts = write_corpus(
        tmp_path / "out", speakers=2, progress=lambda *call: calls.append(call), **SMALL
    )
    assert calls == [(done, 16) for done in range(1, 17)]
    assert (counts.speakers, counts.train, counts.test) == (2, 8, 8)
    assert counts.frames >= 16 * 91


def test_a_corpus_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_corpus(tmp_path / "out", speakers=0)
    assert not list(tmp_path.iterdir())
