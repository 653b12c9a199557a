"""The competition's official folder (2021, 2022 and 2023 editions): its reader and its checks."""

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import torch

from kaggle_hw4.artifact import sha256_file
from kaggle_hw4.errors import DataError

FILES = ("metadata.json", "testdata.json", "mapping.json")
LARGEST = 1000.0  # nat; log-mel lies between -21 and about 10
# A name that is one plain file of the folder: nothing that walks out of it.
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.pt")


@dataclass(frozen=True)
class Utterance:
    """One row of metadata.json or testdata.json; `speaker` is None for a test utterance."""

    id: str
    frames: int
    speaker: str | None


@dataclass
class Official:
    """What the three JSON files say, in their order, and every problem found in them."""

    folder: Path
    n_mels: int = 40
    speakers: list[str] = field(default_factory=list)  # in label order
    train: list[Utterance] = field(default_factory=list)
    test: list[Utterance] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def utterances(self) -> list[Utterance]:
        return self.train + self.test

    def sources(self) -> dict[str, str]:
        return {name: sha256_file(self.folder / name) for name in FILES}

    def raise_problems(self) -> None:
        if self.problems:
            count = f"{len(self.problems)} problem" + "s" * (len(self.problems) > 1)
            raise DataError(f"{self.folder}: {count}", "mend or download it again", self.problems)


def find_folder(path: Path) -> Path:
    """The folder that holds the JSON files: `path` itself or `path`/Dataset."""
    for folder in (path, path / "Dataset"):
        if any((folder / name).is_file() for name in FILES):
            return folder
    raise DataError(
        f"{path} holds no metadata.json, nor does {path / 'Dataset'}",
        "`hw4 data download` fetches the dataset, `hw4 data synth DIR` makes one",
    )


def read_official(path: Path) -> Official:
    """Read and check the JSON files; problems are collected in the result, not raised."""
    found = Official(find_folder(path))
    metadata, testdata, mapping = (_read_object(found, name) for name in FILES)
    found.n_mels = _n_mels(found, metadata, testdata)
    _read_mapping(found, mapping)
    _read_training(found, metadata)
    if testdata is not None:
        rows = testdata.get("utterances")
        found.test = _read_rows(found, rows, "testdata.json: utterances", None)
    _check_ids(found)
    return found


def read_features(found: Official, utterance: Utterance) -> torch.Tensor | None:
    """The (frames, n_mels) tensor of an utterance, or None with its problem noted."""
    path = found.folder / utterance.id
    if not path.is_file():
        found.problems.append(f"{utterance.id}: the file is missing")
        return None
    try:
        value = _load(path.read_bytes())
        problem = _feature_problem(value, utterance.frames, found.n_mels)
    except Exception as error:  # spoiled bytes make the unpickler raise nearly anything
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        problem = f"not a tensor that torch.load reads ({reason})"
    if problem is None:
        return value.detach().float()  # type: ignore[no-any-return]
    found.problems.append(f"{utterance.id}: {problem}")
    return None


def _load(data: bytes) -> Any:
    """What torch.save wrote, its checksums checked, which torch.load itself does not look at."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} is damaged")
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _feature_problem(value: Any, frames: int, n_mels: int) -> str | None:
    if not isinstance(value, torch.Tensor):
        return f"found a {type(value).__name__}, expected a tensor"
    if value.dtype not in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        return f"found dtype {value.dtype}, expected float32"
    if value.layout != torch.strided or value.device.type != "cpu" or value.is_nested:
        return "found a sparse, nested or empty-handed tensor, expected a plain one"
    if value.dim() != 2 or value.shape[1] != n_mels:
        return f"found shape {tuple(value.shape)}, expected ({frames}, {n_mels})"
    if len(value) != frames:
        return f"found {len(value)} frames, expected mel_len {frames}"
    finite = torch.isfinite(value).all(1)
    if not finite.all():
        first = int((~finite).nonzero()[0])
        return f"found NaN or infinity in {int((~finite).sum())} frames, the first is {first}"
    if value.abs().max() > LARGEST:
        return f"found a value of {float(value.abs().max()):.4g}, expected natural-log mel energies"
    return None


def _read_object(found: Official, name: str) -> dict[str, Any] | None:
    """The object in a JSON file, or None with its problem noted."""
    try:
        value = json.loads((found.folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        found.problems.append(f"{name}: the file is missing")
    except (OSError, ValueError, RecursionError) as error:
        found.problems.append(f"{name}: not readable as JSON ({error})")
    else:
        if isinstance(value, dict):
            return value
        found.problems.append(f"{name}: found a {type(value).__name__}, expected an object")
    return None


Values = dict[str, Any] | None


def _n_mels(found: Official, metadata: Values, testdata: Values) -> int:
    numbers: set[int] = set()
    for name, values in (("metadata.json", metadata), ("testdata.json", testdata)):
        value = values and values.get("n_mels")
        if _is_count(value):
            numbers.add(value)
        elif values is not None:
            found.problems.append(f"{name}: n_mels: found {value!r}, expected a number such as 40")
    if len(numbers) > 1:
        both = " and ".join(map(str, sorted(numbers)))
        found.problems.append(f"testdata.json: n_mels: found {both}, expected one number")
    return min(numbers, default=40)


def _read_mapping(found: Official, mapping: Values) -> None:
    if mapping is None:
        return
    ids, names = mapping.get("speaker2id"), mapping.get("id2speaker")
    if not isinstance(ids, dict) or not isinstance(names, dict):
        found.problems.append("mapping.json: found no speaker2id and id2speaker, expected both")
        return
    if not all(_is_count(i, 0) for i in ids.values()) or sorted(ids.values()) != list(
        range(len(ids))
    ):
        found.problems.append(
            f"mapping.json: speaker2id: the ids are not 0 to {len(ids) - 1}, each once"
        )
        return
    for speaker, i in ids.items():
        if not speaker.strip() or not speaker.isprintable():
            found.problems.append(f"mapping.json: speaker2id: {speaker!r} is no name of a speaker")
        if names.get(str(i)) != speaker:
            found.problems.append(
                f"mapping.json: id2speaker[{i}]: found {names.get(str(i))!r}, "
                f"expected {speaker!r} as in speaker2id"
            )
    if len(names) > len(ids):
        found.problems.append(
            f"mapping.json: id2speaker: {len(names)} entries, expected {len(ids)}"
        )
    found.speakers = sorted(ids, key=lambda speaker: int(ids[speaker]))


def _read_training(found: Official, metadata: Values) -> None:
    if metadata is None:
        return
    speakers = metadata.get("speakers")
    if not isinstance(speakers, dict) or not speakers:
        found.problems.append("metadata.json: speakers: found none, expected an object of lists")
        return
    for speaker, rows in speakers.items():
        where = f"metadata.json: speakers.{speaker}"
        if found.speakers and speaker not in found.speakers:
            found.problems.append(f"{where}: unknown speaker, not in mapping.json")
        read = _read_rows(found, rows, where, speaker)
        if isinstance(rows, list) and len(rows) < 2:
            found.problems.append(f"{where}: found {len(rows)} utterances, expected 2 at least")
        found.train += read
    for speaker in found.speakers:
        if speaker not in speakers:
            found.problems.append(f"mapping.json: {speaker}: has no utterances in metadata.json")


def _read_rows(found: Official, rows: Any, where: str, speaker: str | None) -> list[Utterance]:
    if not isinstance(rows, list) or (speaker is None and not rows):
        found.problems.append(f"{where}: found {rows!r:.40}, expected a list of utterances")
        return []
    good = []
    for i, row in enumerate(rows):
        path = row.get("feature_path") if isinstance(row, dict) else None
        frames = row.get("mel_len") if isinstance(row, dict) else None
        if not isinstance(path, str) or not PLAIN_NAME.fullmatch(path):
            found.problems.append(
                f"{where}[{i}].feature_path: found {path!r}, expected a file name uttr-….pt"
            )
        elif not _is_count(frames):
            found.problems.append(
                f"{where}[{i}].mel_len: found {frames!r}, expected a number of frames"
            )
        else:
            good.append(Utterance(path, frames, speaker))
    return good


def _check_ids(found: Official) -> None:
    found.problems += [
        f"{name}: {utterance}: stands there {times} times, expected once"
        for name, rows in (("metadata.json", found.train), ("testdata.json", found.test))
        for utterance, times in Counter(u.id for u in rows).items()
        if times > 1
    ]
    trained = {u.id for u in found.train}
    found.problems += [
        f"testdata.json: {name}: is in metadata.json too, expected a test utterance to be unseen"
        for name in _unique(found.test)
        if name in trained
    ]


def _unique(utterances: list[Utterance]) -> Iterator[str]:
    return iter(dict.fromkeys(u.id for u in utterances))


def _is_count(value: Any, least: int = 1) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
