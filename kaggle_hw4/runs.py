"""A run: one variant trained on one fold from one seed. Reader and writer of its folder.

    runs/<variant>-<hash>/fold<k>-seed<s>/
        recipe.toml               what was asked for
        metrics.jsonl             a line every few steps: loss, accuracy, validation, rate
        checkpoint.pt             all that a resumed training needs, the best weights included
        best.safetensors          the EMA weights where validation was highest
        ema.safetensors           the EMA weights at the end
        oof.safetensors           logits of the validation utterances (out of fold)
        seen_session.safetensors  of those held out of the sessions trained on (folds by session)
        test.safetensors          logits of the test utterances
        worker.log                what its process printed, where it had one of its own
        run.json                  what made it; written last: its presence means done

<hash> covers the recipe, the fold table and the corpus: other inputs, another folder.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from kaggle_hw4.artifact import (
    named_errors,
    settle,
    sha256_json,
    verify,
    write_bytes,
    write_pending,
    write_text,
)
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.locks import Timeout, locked
from kaggle_hw4.logits import Logits, decode, decode_ids, encode
from kaggle_hw4.recipe import Recipe, read_recipe
from kaggle_hw4.run_manifest import Manifest, read_manifest, write_manifest
from kaggle_hw4.workspace import real_path

FOLDER = re.compile(r"fold([0-9]{1,9})-seed([0-9]{1,9})")


@dataclass(frozen=True)
class RunFolder:
    """What every training leaves while it trains, with labels or without."""

    folder: Path
    done_by: ClassVar[str]  # the file whose presence means that it is finished

    @classmethod
    def of(
        cls, runs: Path, variant: str, recipe: Recipe, inputs: list[str], fold: int, seed: int
    ) -> Self:
        """The run of these ingredients; `inputs` are the hashes of its corpus and fold table."""
        group = f"{variant}-{sha256_json([recipe.hash, *inputs])[:8]}"
        return cls(runs / group / f"fold{fold}-seed{seed}")

    @property
    def name(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def variant(self) -> str:
        return self.folder.parent.name.rpartition("-")[0]

    @property
    def fold(self) -> int:
        return self._numbers[0]

    @property
    def seed(self) -> int:
        return self._numbers[1]

    @property
    def _numbers(self) -> tuple[int, int]:
        match = FOLDER.fullmatch(self.folder.name)
        if match is None:
            raise DataError(f"{self.folder} is not named as a run: fold<k>-seed<s>")
        return int(match[1]), int(match[2])

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def lock(self) -> Path:
        """Held by the process that trains the run."""
        return self.folder / ".lock"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder and hold the run, for whoever trains it; UsageError where another process
        does.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.lock, timeout=0))
            except Timeout as error:
                raise UsageError(f"{self.name} is being trained by another process") from error
            yield

    @property
    def done(self) -> bool:
        """Whether there is a manifest, be it a broken one: that is an error, and not unfinished."""
        return os.path.lexists(self.folder / self.done_by)

    @property
    def remedy(self) -> str:
        return f"delete {self.folder} and train it again"

    def log(self, line: Mapping[str, float]) -> None:
        """Append a line to metrics.jsonl."""
        with named_errors(self.metrics), self.metrics.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def logged(self) -> Iterator[dict[str, float]]:
        """The lines of metrics.jsonl, up to one that is still being written, or is torn."""
        if self.metrics.is_file():
            for line in self.metrics.read_bytes().splitlines(keepends=True):
                try:
                    values = json.loads(line) if line.endswith(b"\n") else None
                except (ValueError, RecursionError):
                    return
                if not isinstance(values, dict) or not isinstance(values.get("step"), int):
                    return
                yield values

    def cut_log(self, step: int) -> None:
        """Drop the lines that a killed training wrote after its last checkpoint, at `step`."""
        if self.metrics.is_file():
            kept = [json.dumps(line) + "\n" for line in self.logged() if line["step"] <= step]
            write_text(self.metrics, "".join(kept))


@dataclass(frozen=True)
class Run(RunFolder):
    """The training of a speaker classifier."""

    done_by: ClassVar = "run.json"

    def manifest(self) -> Manifest:
        """What run.json says; DataError where it is damaged, edited or of another version."""
        return read_manifest(self.folder / "run.json", self.name, self.remedy)

    def recipe(self) -> Recipe:
        return read_recipe(self.folder / "recipe.toml")

    def write_recipe(self, recipe: Recipe) -> None:
        write_text(self.folder / "recipe.toml", recipe.to_toml())

    def write_manifest(self, manifest: Manifest) -> Manifest:
        """Write run.json, and return it with its seal; what it names is no longer pending."""
        manifest = write_manifest(self.folder / "run.json", manifest)
        settle(self.folder, manifest.sha256)
        return manifest

    def write_logits(self, name: str, logits: Logits) -> str:
        """Write `<name>.safetensors`, pending where the run is finished; return its sha256."""
        write = write_pending if self.done else write_bytes
        return write(self.folder / f"{name}.safetensors", encode(logits))

    def read_logits(self, name: str) -> Logits:
        """The logits of `<name>.safetensors`, checked against the manifest."""
        return decode(self._verified(name), self._predict_again)

    def read_ids(self, name: str) -> tuple[str, ...]:
        """The utterances of `<name>.safetensors`, without their logits."""
        return decode_ids(self._verified(name))

    @property
    def _predict_again(self) -> str:
        return f"`hw4 predict {self.folder}`"

    def _verified(self, name: str) -> Path:
        path, sha256 = self.folder / f"{name}.safetensors", self.manifest().sha256
        settle(self.folder, sha256)  # a prediction may have been killed after its manifest
        # The format itself does not notice a flipped bit.
        verify(path, sha256.get(path.name, ""), self._predict_again)
        return path


def find_runs(paths: Iterable[Path]) -> list[Run]:
    """Every run below the given folders, a run's own folder included; finished or not."""
    runs: dict[Path, Run] = {}
    for path in paths:
        if not path.is_dir():
            raise UsageError(f"{path} is no folder of runs", "`hw4 train` makes them in runs/")
        for depth in ("", "*/", "*/*/"):
            for name in ("recipe.toml", "run.json"):
                for file in sorted(path.glob(depth + name)):
                    folder = real_path(file.parent)
                    runs.setdefault(folder, Run(folder))
    return list(runs.values())


def finished(runs: Iterable[Run]) -> list[Run]:
    """Those of `runs` that are done; DataError when none is."""
    runs = list(runs)
    done = [run for run in runs if run.done]
    if not done:
        unfinished = f"{len(runs)} unfinished" if runs else "none at all"
        raise DataError(f"there is no finished run ({unfinished})", "`hw4 train` makes one")
    return done
