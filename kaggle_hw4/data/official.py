"""The official dataset folder of the competition (2021, 2022, 2023): its reader and its checks."""

import io
import math
import re
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from kaggle_hw4.artifact import sha256_file
from kaggle_hw4.competition import N_MELS, Edition, edition_of
from kaggle_hw4.data.json_files import Object, Problems, file_name, read_object, whole_number
from kaggle_hw4.data.mapping import read_speakers
from kaggle_hw4.device import is_out_of_memory
from kaggle_hw4.errors import DataError

FILES = ("metadata.json", "testdata.json", "mapping.json")
LARGEST = 1000.0  # nat; log-mel lies between -21 and about 10


@dataclass(frozen=True)
class Utterance:
    """One entry of metadata.json or testdata.json; `speaker` is None for a test utterance."""

    id: str
    frames: int
    speaker: str | None


@dataclass
class OfficialDataset:
    """The contents of the three JSON files, in their order, and every problem in the dataset."""

    folder: Path
    n_mels: int = N_MELS
    speakers: list[str] = field(default_factory=list)  # in label order
    train: list[Utterance] = field(default_factory=list)
    test: list[Utterance] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)

    @property
    def utterances(self) -> list[Utterance]:
        """All utterances: the rows of the corpus, in order."""
        return self.train + self.test

    def edition(self) -> Edition | None:
        """The edition that the test set is of; None where it is no edition's."""
        return edition_of([u.id for u in self.test], len(self.train))

    def sources(self) -> dict[str, str]:
        """The sha256 of each JSON file."""
        return {name: sha256_file(self.folder / name) for name in FILES}

    def add_problem(self, problem: str, kind: object = None) -> None:
        """Note a problem; those of the same `kind` are counted together."""
        self.problems.add(problem, kind)

    def raise_problems(self) -> None:
        """Raise DataError with all problems, if there are any."""
        if self.problems:
            count = f"{len(self.problems):,} problem" + "s" * (len(self.problems) > 1)
            remedy = "repair it or download it again"
            raise DataError(f"{self.folder}: {count}", remedy, list(self.problems))


def find_folder(path: Path) -> Path:
    """The folder that holds the JSON files: `path` itself, `path`/Dataset, or the only such folder
    in one of them (an archive that was unpacked into a folder of its name).
    """
    inside = path / "Dataset"
    for folders in ([path], [inside], _subfolders(path), _subfolders(inside)):
        folders = [f for f in folders if any((f / name).is_file() for name in FILES)]
        if len(folders) > 1:
            both = " and ".join(f.name for f in folders[:2])
            raise DataError(
                f"{path} holds {len(folders)} datasets, {both} ...", "name the folder of one"
            )
        if folders:
            return folders[0]
    raise DataError(
        f"{path} holds no metadata.json, nor does {inside}",
        "`hw4 data download` fetches the dataset, `hw4 data synth DIR` makes one",
    )


def _subfolders(path: Path) -> list[Path]:
    """The folders in `path`, without hidden ones and those that macOS adds to an archive."""
    if not path.is_dir():
        return []
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
    return [f for f in folders if not f.name.startswith((".", "__"))]


def read_official(path: Path) -> OfficialDataset:
    """Read and check the JSON files. Problems are collected in the result; DataError is raised only
    where files of two editions are mixed, which would be a problem of thousands of utterances.
    """
    dataset = OfficialDataset(find_folder(path))
    metadata, testdata = (read_object(dataset.folder / n, dataset.problems) for n in FILES[:2])
    dataset.n_mels = _read_n_mels(dataset, metadata, testdata)
    dataset.speakers = read_speakers(dataset.folder, dataset.problems)
    _read_training(dataset, metadata)
    if testdata is not None:
        rows = testdata.get("utterances")
        dataset.test = _read_rows(dataset, rows, "testdata.json: utterances", None)
    _check_ids(dataset)
    return dataset


def read_features(dataset: OfficialDataset, utterance: Utterance) -> torch.Tensor | None:
    """The features (T, n_mels) of an utterance, float32; None, and a problem added to `dataset`,
    where its file is missing or wrong.
    """
    path = dataset.folder / utterance.id
    if not path.is_file():
        what = "not a regular file" if path.exists() else "the file is missing"
        dataset.add_problem(f"{utterance.id}: {what}", what)
        return None
    try:
        value = _load(path.read_bytes())
        problem = _feature_problem(value, utterance.frames, dataset.n_mels)
    except Exception as error:  # damaged bytes make the unpickler raise almost anything
        if is_out_of_memory(error):
            raise
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        problem = f"not a tensor that torch.load reads ({reason})"
    if problem is None:
        return value.detach().float()  # type: ignore[no-any-return]
    kind = re.sub(r"[(\d].*", "", problem)  # without the figures
    dataset.add_problem(f"{utterance.id}: {problem}", kind)
    return None


def _load(data: bytes) -> Any:
    """The object that torch.save wrote; its checksums, which torch.load ignores, are verified."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} is damaged")
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _feature_problem(value: object, frames: int, n_mels: int) -> str | None:
    """What is wrong with a loaded feature tensor; None if nothing is."""
    if not isinstance(value, torch.Tensor):
        return f"found a {type(value).__name__}, expected a tensor"
    if value.dtype not in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        return f"found dtype {value.dtype}, expected float32"
    if value.layout != torch.strided or value.device.type != "cpu" or value.is_nested:
        return "found a sparse, nested or meta tensor, expected a dense one"
    if value.dim() != 2 or value.shape[1] != n_mels:
        return f"found shape {tuple(value.shape)}, expected ({frames}, {n_mels})"
    if len(value) != frames:
        return f"found {len(value)} frames, expected mel_len {frames}"
    # The extremes are NaN or infinite where any value is, and one pass finds them.
    largest = max(abs(float(extreme)) for extreme in value.detach().aminmax())
    if not math.isfinite(largest):
        finite = torch.isfinite(value).all(1)
        first = int((~finite).nonzero()[0])
        return f"found NaN or infinity in {int((~finite).sum())} frames, the first is {first}"
    if largest > LARGEST:
        return f"found a value of {largest:.4g}, expected natural-log mel energies"
    return None


def _read_n_mels(dataset: OfficialDataset, metadata: Object | None, testdata: Object | None) -> int:
    numbers: set[int] = set()
    for name, values in (("metadata.json", metadata), ("testdata.json", testdata)):
        value = values and values.get("n_mels")
        if number := whole_number(value):
            numbers.add(number)
        elif values is not None:
            dataset.add_problem(
                f"{name}: n_mels: found {value!r:.60}, expected a number such as {N_MELS}"
            )
    if len(numbers) > 1:
        both = " and ".join(map(str, sorted(numbers)))
        dataset.add_problem(f"testdata.json: n_mels: found {both}, expected one number")
    return min(numbers, default=N_MELS)


def _read_training(dataset: OfficialDataset, metadata: Object | None) -> None:
    if metadata is None:
        return
    speakers = metadata.get("speakers")
    if not isinstance(speakers, dict) or not speakers:
        dataset.add_problem("metadata.json: speakers: found none, expected an object of lists")
        return
    for speaker, rows in speakers.items():
        key = f"metadata.json: speakers.{speaker}"
        if dataset.speakers and speaker not in dataset.speakers:
            dataset.add_problem(f"{key}: unknown speaker, not in mapping.json", "unknown speaker")
        dataset.train += _read_rows(dataset, rows, key, speaker)
        if isinstance(rows, list) and len(rows) < 2:
            problem = f"{key}: found {len(rows)} utterances, expected 2 at least"
            dataset.add_problem(problem, "few utterances")
    for speaker in dataset.speakers:
        if speaker not in speakers:
            problem = f"mapping.json: {speaker}: has no utterances in metadata.json"
            dataset.add_problem(problem, "no utterances")


def _read_rows(
    dataset: OfficialDataset, rows: Any, key: str, speaker: str | None
) -> list[Utterance]:
    if not isinstance(rows, list) or (speaker is None and not rows):
        problem = f"{key}: found {rows!r:.40}, expected a list of utterances"
        dataset.add_problem(problem, (speaker is None, "no list"))
        return []
    utterances = []
    for i, row in enumerate(rows):
        path = row.get("feature_path") if isinstance(row, dict) else None
        length = row.get("mel_len") if isinstance(row, dict) else None
        name, frames = file_name(path), whole_number(length)
        if name is None:
            problem = f"{key}[{i}].feature_path: found {path!r:.60}, expected a file uttr-….pt"
            dataset.add_problem(problem, (speaker is None, "feature_path"))
        elif frames is None:
            problem = f"{key}[{i}].mel_len: found {length!r:.60}, expected a number of frames"
            dataset.add_problem(problem, (speaker is None, "mel_len"))
        else:
            utterances.append(Utterance(name, frames, speaker))
    return utterances


def _check_ids(dataset: OfficialDataset) -> None:
    for name, rows in (("metadata.json", dataset.train), ("testdata.json", dataset.test)):
        for utterance, times in Counter(u.id for u in rows).items():
            if times > 1:
                problem = f"{name}: {utterance}: listed {times} times, expected once"
                dataset.add_problem(problem, (name, "listed again"))
    training = {u.id for u in dataset.train}
    both = [name for name in dict.fromkeys(u.id for u in dataset.test) if name in training]
    if both:
        _check_editions(dataset, len(both))
    for name in both:
        problem = f"testdata.json: {name}: is in metadata.json too, expected it to be unseen"
        dataset.add_problem(problem, "in both")


def _check_editions(dataset: OfficialDataset, overlap: int) -> None:
    """Raise DataError if the test set is a known edition's while `overlap` of its utterances are in
    the training set: then the training set is another edition's.
    """
    edition = dataset.edition()
    if edition and edition.fingerprint:
        raise DataError(
            f"{dataset.folder}: testdata.json is the {edition.year} edition's, and {overlap:,} of "
            "its utterances are in metadata.json with their speaker: two editions are mixed",
            "use the three JSON files of one edition",
        )
