"""A corpus holds the frames of its dataset, and damage to it is noticed."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kaggle_hw4 import competition
from kaggle_hw4.cli import main
from kaggle_hw4.competition import LOG_FLOOR
from kaggle_hw4.data.channel import describe_channel
from kaggle_hw4.data.corpus import Corpus, open_corpus, pack
from kaggle_hw4.data.inspection import QUANTILES, describe_lengths, inspect_corpus
from kaggle_hw4.data.manifest import read_manifest
from kaggle_hw4.errors import DataError
from kaggle_hw4.stages.edition import edition_of_workspace
from kaggle_hw4.workspace import Workspace


def test_every_utterance_is_packed_in_order(corpus: Corpus, synthetic: Path) -> None:
    metadata = json.loads((synthetic / "Dataset" / "metadata.json").read_text())["speakers"]
    testdata = json.loads((synthetic / "Dataset" / "testdata.json").read_text())["utterances"]
    expected = [(row["feature_path"], s) for s, rows in metadata.items() for row in rows]
    assert [corpus.ids[row] for row in corpus.train] == [name for name, _ in expected]
    assert [corpus.speakers[corpus.labels[row]] for row in corpus.train] == [s for _, s in expected]
    assert [corpus.ids[row] for row in corpus.test] == [row["feature_path"] for row in testdata]


@pytest.mark.parametrize(("dtype", "error"), [("float16", 0.008), ("float32", 0.0)])
def test_frames_are_those_of_the_files(
    synthetic: Path, tmp_path: Path, dtype: str, error: float
) -> None:
    corpus = pack(synthetic, tmp_path / "packed", dtype=dtype)
    for row, name in enumerate(corpus.ids):
        original = torch.load(synthetic / "Dataset" / name, weights_only=True)
        torch.testing.assert_close(corpus.features(row), original, atol=error, rtol=0)


def test_the_same_dataset_packs_to_the_same_hash(
    synthetic: Path, tmp_path: Path, corpus: Corpus
) -> None:
    again = pack(synthetic / "Dataset", tmp_path / "packed")
    assert again.hash == corpus.hash
    assert np.array_equal(again.lengths, corpus.lengths)


@pytest.mark.parametrize("name", ["frames.bin", "utterances.csv", "channel.safetensors"])
def test_a_flipped_bit_is_noticed(synthetic: Path, tmp_path: Path, name: str) -> None:
    path = pack(synthetic, tmp_path / "packed").folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"{name} has changed.*hw4 data pack"):
        open_corpus(tmp_path / "packed")


@pytest.mark.parametrize(
    ("before", "after"),
    [('"float16"', '"float32"'), ('"n_mels": 40', '"n_mels": 41'), ('"sha256"', '"sha255"')],
)
def test_a_changed_manifest_is_noticed(
    synthetic: Path, tmp_path: Path, before: str, after: str
) -> None:
    path = pack(synthetic, tmp_path / "packed").folder / "corpus.json"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(DataError, match="pack the dataset again: `hw4 data pack`"):
        open_corpus(tmp_path / "packed")


def test_a_corpus_says_which_edition_it_is(
    synthetic: Path, tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert corpus.edition is None
    mark = competition.fingerprint(corpus.ids[row] for row in corpus.test)
    edition = dataclasses.replace(competition.EDITIONS[2], fingerprint=mark)
    monkeypatch.setattr(competition, "EDITIONS", (edition,))
    again = pack(synthetic, tmp_path / "packed")
    assert again.edition == edition
    assert again.hash == corpus.hash


@pytest.mark.parametrize(("year", "words"), [(None, "no edition"), (2023, "edition 2023")])
def test_pack_and_inspect_print_the_edition(
    synthetic: Path,
    tmp_path: Path,
    corpus: Corpus,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    year: int | None,
    words: str,
) -> None:
    if year:
        mark = competition.fingerprint(corpus.ids[row] for row in corpus.test)
        edition = dataclasses.replace(competition.edition_named(year), fingerprint=mark)
        monkeypatch.setattr(competition, "EDITIONS", (edition,))
    for command in (["pack", str(synthetic)], ["inspect"]):
        with pytest.raises(SystemExit):
            main(["--workspace", str(tmp_path), "data", *command])
        shown = capsys.readouterr()
        assert words in shown.out.lower()
        assert "next: hw4 split" in shown.err


def test_channel_statistics_are_those_of_the_stored_frames(corpus: Corpus) -> None:
    for row in range(len(corpus.ids)):
        frames, stored = corpus.features(row).numpy(), corpus.channels[np.array([row])]
        quiet = np.percentile(frames, 5, axis=0).astype(np.float32)
        spectra = np.percentile(frames, (5, 60), axis=0) - frames.mean()
        assert np.array_equal(stored.mean[0], frames.mean(0))
        assert np.array_equal(stored.deviation[0], frames.std(0))
        assert np.array_equal(stored.quiet[0], quiet)
        assert np.array_equal(stored.descriptor[0], spectra.ravel().astype(np.float32))


def test_channel_statistics_do_not_depend_on_how_a_tensor_is_laid_out(
    dataset: Path, tmp_path: Path, corpus: Corpus
) -> None:
    for path in dataset.glob("uttr-*.pt"):
        torch.save(torch.load(path, weights_only=True).T.contiguous().T, path)
    again = pack(dataset, tmp_path / "packed")
    assert again.hash == corpus.hash
    assert np.array_equal(again.channels.mean, corpus.channels.mean)


def test_a_corpus_of_an_older_format_is_refused_until_it_is_packed_again(
    synthetic: Path, tmp_path: Path
) -> None:
    folder = pack(synthetic, tmp_path / "packed").folder
    (folder / "corpus.json").rename(folder / "packed.json")
    with pytest.raises(DataError, match="was packed by hw4 0.1; pack the dataset again"):
        open_corpus(folder)
    manifest = json.loads((folder / "packed.json").read_text())
    (folder / "packed.json").write_text(json.dumps(manifest | {"sources": {}}))
    with pytest.raises(DataError, match="holds another corpus"):
        pack(synthetic, folder)
    (folder / "packed.json").write_text(json.dumps(manifest))
    assert open_corpus(pack(synthetic, folder).folder)
    assert not (folder / "packed.json").exists()
    manifest = json.loads((folder / "corpus.json").read_text())
    (folder / "corpus.json").write_text(json.dumps(manifest | {"format": 1}))
    with pytest.raises(DataError, match="was packed by hw4 0.1; pack the dataset again"):
        open_corpus(folder)


def test_a_damaged_corpus_is_packed_again(synthetic: Path, tmp_path: Path) -> None:
    before = pack(synthetic, tmp_path / "packed")
    (before.folder / "frames.bin").write_bytes(b"damaged")
    assert pack(synthetic, tmp_path / "packed").hash == before.hash


def test_speakers_in_another_order_are_noticed(synthetic: Path, tmp_path: Path) -> None:
    path = pack(synthetic, tmp_path / "packed").folder / "corpus.json"
    manifest = json.loads(path.read_text())
    manifest["speakers"].reverse()
    path.write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="its hash is not that of its speakers and files"):
        open_corpus(tmp_path / "packed")


def test_leftovers_of_a_killed_pack_are_deleted(synthetic: Path, tmp_path: Path) -> None:
    (tmp_path / ".packed.new.abc" / "packed.new").mkdir(parents=True)
    pack(synthetic, tmp_path / "packed")
    assert [p.name for p in tmp_path.iterdir()] == ["packed"]


def test_a_corpus_of_another_dataset_is_replaced_only_on_request(
    synthetic: Path, dataset: Path, tmp_path: Path
) -> None:
    before = pack(synthetic, tmp_path / "packed")
    metadata = json.loads((dataset / "metadata.json").read_text())
    next(iter(metadata["speakers"].values())).pop()
    (dataset / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(DataError, match="holds another corpus.*replace"):
        pack(dataset, tmp_path / "packed")
    assert open_corpus(tmp_path / "packed").hash == before.hash
    assert pack(dataset, tmp_path / "packed", replace=True).hash != before.hash
    assert sorted(p.name for p in tmp_path.iterdir()) == ["Dataset", "packed"]


@pytest.mark.parametrize("command", ["open", "edition", "pack"])
def test_a_kill_between_the_renames_of_a_replacement_leaves_the_old_corpus(
    synthetic: Path, tmp_path: Path, command: str
) -> None:
    folder = tmp_path / "packed"
    before = pack(synthetic, folder)
    folder.rename(tmp_path / "packed.old")
    (tmp_path / "packed.new").mkdir()
    if command == "open":
        open_corpus(folder)
    elif command == "edition":
        assert edition_of_workspace(Workspace(tmp_path)) == before.edition
    else:
        pack(synthetic, folder)
    assert open_corpus(folder).hash == before.hash
    assert not (tmp_path / "packed.old").exists()


def test_a_failed_replacement_leaves_the_old_corpus(
    synthetic: Path, dataset: Path, tmp_path: Path
) -> None:
    before = pack(synthetic, tmp_path / "packed")
    next(dataset.glob("uttr-*.pt")).unlink()
    with pytest.raises(DataError, match="1 problem"):
        pack(dataset, tmp_path / "packed", replace=True)
    assert open_corpus(tmp_path / "packed").hash == before.hash


def test_the_levels_of_a_corpus_are_those_of_its_files(corpus: Corpus, synthetic: Path) -> None:
    files = [synthetic / "Dataset" / name for name in corpus.ids]
    features = [torch.load(path, weights_only=True).double() for path in files]
    every, levels = torch.cat(features), read_manifest(corpus.folder).statistics
    assert (levels.min, levels.max) == (every.min(), every.max())
    assert levels.mean == pytest.approx(float(every.mean()), rel=1e-9)
    assert levels.deviation == pytest.approx(float(every.std(correction=0)), rel=1e-9)
    touching = [bool(frames.min() <= LOG_FLOOR + 0.5) for frames in features]
    assert levels.touching_the_floor == pytest.approx(np.mean(touching))


def test_a_corpus_is_counted_in_frames_and_hours(corpus: Corpus) -> None:
    counts = inspect_corpus(corpus).counts
    assert (counts.speakers, counts.training_utterances, counts.test_utterances) == (4, 36, 8)
    assert counts.frames == len(corpus.frames)
    assert counts.hours == pytest.approx(counts.frames * 0.01 / 3600)


def test_lengths_are_described_by_their_percentiles() -> None:
    lengths = describe_lengths(np.arange(101))
    assert [getattr(lengths, name) for name, _ in QUANTILES] == [0, 1, 5, 25, 50, 75, 95, 99, 100]
    assert (lengths.mean, lengths.deviation) == (50, pytest.approx(np.sqrt((101**2 - 1) / 12)))
    assert describe_lengths(np.array([127, 128, 129])).shorter_than_128 == 1


def test_a_channel_is_described_by_its_quiet_and_its_louder_frames() -> None:
    """The 5th and the 60th percentile of each band, less the utterance's mean level."""
    frames = np.random.default_rng(0).permutation(101)[:, None] + np.array([[0.0, 10.0]])
    channel = describe_channel(frames.astype(np.float32))
    np.testing.assert_allclose(channel.descriptor, [[5 - 55, 15 - 55, 60 - 55, 70 - 55]])
    np.testing.assert_allclose(channel.quiet, [[5, 15]])
