"""A run: one variant trained on one fold from one seed. Reader and writer of its folder.

    runs/<variant>-<hash>/fold<k>-seed<s>/
        recipe.toml          what was asked for
        metrics.jsonl        one line a report: loss, accuracy, validation, rate
        checkpoint.pt        all that a resumed training needs
        best.safetensors     the averaged weights where validation was highest
        ema.safetensors the averaged weights at the end
        oof.safetensors      logits of the validation utterances
        seen_session.safetensors    of those held out of the sessions trained on (folds by session)
        test.safetensors     logits of the test utterances
        run.json             what made it; written last: its presence means done

<hash> covers the recipe, the fold table and the corpus: other inputs, another folder.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
from pydantic import BaseModel, ConfigDict, Field

from kaggle_hw4.artifact import read_model, sha256_json, verify, write_bytes, write_json, write_text
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.recipe import Recipe, read_recipe


@dataclass(frozen=True)
class Logits:
    """Plain logits (n, C) of utterances `ids`, in their order."""

    ids: tuple[str, ...]
    values: npt.NDArray[np.float32]


class Table(BaseModel):
    """The fold table that a run was trained on."""

    name: str
    by: str
    count: int
    hash: str


class Manifest(BaseModel):
    """run.json; what is not named here is kept as it is."""

    model_config = ConfigDict(extra="allow")

    variant: str
    fold: Annotated[int, Field(ge=0)]
    seed: int
    recipe: str
    corpus: str
    folds: Table
    seconds: float
    validation: dict[str, int | float]
    seen_session: dict[str, int | float] | None = None  # where the folds are not by session
    sha256: dict[str, str]


@dataclass(frozen=True)
class Run:
    folder: Path

    @classmethod
    def of(
        cls, runs: Path, variant: str, recipe: Recipe, inputs: list[str], fold: int, seed: int
    ) -> "Run":
        """The run of these ingredients; `inputs` are the hashes of its corpus and fold table."""
        group = f"{variant}-{sha256_json([recipe.hash, *inputs])[:8]}"
        return cls(runs / group / f"fold{fold}-seed{seed}")

    @property
    def name(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def done(self) -> bool:
        return (self.folder / "run.json").is_file()

    @property
    def remedy(self) -> str:
        return f"delete {self.folder} and train it again"

    def manifest(self) -> dict[str, Any]:
        path = self.folder / "run.json"
        return read_model(Manifest, path, "the manifest of a run", self.remedy).model_dump()

    def recipe(self) -> Recipe:
        return read_recipe(self.folder / "recipe.toml")

    def write_recipe(self, recipe: Recipe) -> None:
        write_text(self.folder / "recipe.toml", recipe.to_toml())

    def write_logits(self, name: str, logits: Logits) -> str:
        """Write `<name>.safetensors` and return its sha256, which belongs in the manifest: the
        format itself does not notice a flipped bit.
        """
        # The ids go along, so that logits can be read without the corpus that they came from.
        ids = {"ids": json.dumps(list(logits.ids))}
        data = safetensors.numpy.save({"logits": logits.values}, metadata=ids)
        return write_bytes(self.folder / f"{name}.safetensors", data)

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        write_json(self.folder / "run.json", manifest)

    def read_logits(self, name: str) -> Logits:
        """The logits of `<name>.safetensors`, checked against the manifest."""
        path = self.folder / f"{name}.safetensors"
        verify(path, self.manifest()["sha256"].get(path.name, ""), f"`hw4 predict {self.folder}`")
        with safetensors.safe_open(path, "np") as file:
            ids = json.loads((file.metadata() or {})["ids"])
            return Logits(tuple(ids), file.get_tensor("logits"))


def find_runs(paths: Iterable[Path]) -> list[Run]:
    """Every run below the given folders, a run's own folder included; finished or not."""
    found: dict[Path, Run] = {}
    for path in paths:
        if not path.is_dir():
            raise UsageError(f"{path} is no folder of runs", "`hw4 train` makes them in runs/")
        for depth in ("", "*/", "*/*/"):
            for name in ("recipe.toml", "run.json"):
                for file in sorted(path.glob(depth + name)):
                    folder = file.parent.resolve()
                    found.setdefault(folder, Run(folder))
    return list(found.values())


def finished(runs: Iterable[Run]) -> list[Run]:
    """Those of `runs` that are done; DataError when none is."""
    runs = list(runs)
    done = [run for run in runs if run.done]
    if not done:
        waiting = f"{len(runs)} unfinished there" if runs else "none there"
        raise DataError(
            f"no finished run found ({waiting})", "`hw4 train --variant boss` makes one"
        )
    return done
