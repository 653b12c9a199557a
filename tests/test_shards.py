"""Frames in several files: the same frames, batches and errors as in one."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from kaggle_hw4.data import frames as module
from kaggle_hw4.data.corpus import Corpus, open_corpus, pack
from kaggle_hw4.data.frames import ShardedFrames, assign_files
from kaggle_hw4.data.segments import FrameStore, Segments
from kaggle_hw4.errors import DataError
from kaggle_hw4.synth.corpus import write_corpus


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    write_corpus(folder, speakers=3, sessions=2, utterances=3, frames=60, seed=1)
    return folder


@pytest.fixture(scope="module")
def single(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return pack(dataset, tmp_path_factory.mktemp("single") / "packed")


@pytest.fixture
def sharded(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    monkeypatch.setattr(module, "SHARD", 20_000)
    pack(dataset, tmp_path / "packed")
    return open_corpus(tmp_path / "packed")


def test_a_corpus_beyond_a_size_is_in_several_files(sharded: Corpus) -> None:
    files = sorted(sharded.folder.glob("frames*"))
    assert [path.name for path in files[:2]] == ["frames-00000.bin", "frames-00001.bin"]
    assert max(path.stat().st_size for path in files) <= 20_000
    assert isinstance(sharded.frames, ShardedFrames)
    assert not (sharded.folder / "frames.bin").exists()


def test_its_frames_are_those_of_a_single_file(single: Corpus, sharded: Corpus) -> None:
    assert torch.equal(sharded.frames[:], single.frames[:])
    for row in range(len(single.ids)):
        assert torch.equal(sharded.features(row), single.features(row))
    assert sharded.frames.nbytes == single.frames.nbytes
    assert sharded.hash != single.hash


@pytest.mark.parametrize("frames", [20, 500])  # with and without padding
def test_batches_across_files_are_those_of_a_single_one(
    single: Corpus, sharded: Corpus, frames: int
) -> None:
    rows = np.arange(len(single.ids))[::-1].copy()
    segments = Segments(rows, np.zeros(len(rows), np.int64), np.full(len(rows), frames))
    cpu = torch.device("cpu")
    (x, mask), (y, other) = (FrameStore(each, cpu).gather(segments) for each in (single, sharded))
    assert torch.equal(x, y)
    assert (mask is None) == (other is None)
    assert mask is None or torch.equal(mask, other)


def test_files_are_opened_when_they_are_used_and_checked_then(sharded: Corpus) -> None:
    frames = sharded.frames
    sharded.features(0)
    assert sorted(frames.shards) == [0]
    last = sorted(sharded.folder.glob("frames*"))[-1]
    data = bytearray(last.read_bytes())
    data[0] ^= 1
    last.write_bytes(data)
    opened = open_corpus(sharded.folder)
    opened.features(0)
    with pytest.raises(DataError, match=f"{last.name} has changed"):
        opened.features(len(opened.ids) - 1)


def test_a_file_too_few_or_too_short_is_noticed_at_once(sharded: Corpus) -> None:
    last = sorted(sharded.folder.glob("frames*"))[-1]
    last.write_bytes(last.read_bytes()[:-2])
    with pytest.raises(DataError, match="not as long as"):
        open_corpus(sharded.folder)
    last.unlink()
    with pytest.raises(DataError, match=f"{last.name} is missing"):
        open_corpus(sharded.folder)


def test_all_frames_can_be_put_on_a_device(single: Corpus, sharded: Corpus) -> None:
    meta = sharded.frames.to(torch.device("meta"))
    assert meta.shape == single.frames.shape
    assert meta.device.type == "meta"
    assert sharded.frames.to(torch.device("cpu")) is sharded.frames


def test_no_utterance_is_in_two_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD", 10)
    assert assign_files([4, 4, 4, 20, 3, 7, 1]) == [0, 0, 1, 2, 3, 3, 4]
    assert assign_files([]) == []


def test_a_packed_corpus_is_kept_whatever_its_files(
    sharded: Corpus, dataset: Path, single: Corpus
) -> None:
    assert pack(dataset, sharded.folder).hash == sharded.hash
    assert dataclasses.replace(single, speakers=()).frames is single.frames
