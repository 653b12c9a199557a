"""A pretraining: one variant's encoders on one fold from one seed. Reader and writer of its folder.

runs/<variant>-<objective>-<hash>/fold<k>-seed<s>/
pretraining.toml       what was asked for
metrics.jsonl          a line every few steps
checkpoint.pt          all that a resumed training needs
encoders.safetensors   the EMA weights of the encoders at the end
pretraining.json       what made them; written last: its presence means done
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from kaggle_hw4.artifact import read_model, sha256_json, verify, write_text
from kaggle_hw4.errors import DataError
from kaggle_hw4.pretraining.recipe import PretrainingRecipe, read_finished_recipe
from kaggle_hw4.run_manifest import Device, FoldTable, Record
from kaggle_hw4.runs import RunFolder
from kaggle_hw4.workspace import real_path

ENCODERS = "encoders.safetensors"


class PretrainingManifest(Record):
    """pretraining.json. `explained` is the share of the variance of held-out sessions' targets."""

    format: Literal[1] = 1
    variant: str
    objective: str
    transductive: bool  # trained on the test set's frames, too
    fold: int
    seed: int
    recipe: str  # hash
    corpus: str  # hash
    folds: FoldTable
    utterances: int  # trained on
    steps: int
    seconds: float
    loss: float  # on held-out sessions
    explained: float
    memory: int  # bytes at the most
    training: Device
    earlier: tuple[Device, ...] = ()
    sha256: dict[str, str]  # by the file's name
    made_by: dict[str, str]
    seal: str = ""  # hash of the other fields; filled in when it is written

    def sealed(self) -> "PretrainingManifest":
        """The same with its seal."""
        values = self.model_dump(mode="json", exclude={"seal"})
        return self.model_copy(update={"seal": sha256_json(values)[:16]})


@dataclass(frozen=True)
class PretrainingRun(RunFolder):
    """The training of encoders without labels."""

    done_by: ClassVar = "pretraining.json"

    @property
    def path(self) -> Path:
        return self.folder / self.done_by

    @property
    def remedy(self) -> str:
        return f"delete {self.folder} and pretrain it again"

    def manifest(self) -> PretrainingManifest:
        """DataError where it is damaged, edited or of another version."""
        what = "the manifest of a pretraining"
        manifest = read_model(PretrainingManifest, self.path, what, self.remedy)
        if manifest != manifest.sealed():
            raise DataError(f"{self.path} was changed after it was written", self.remedy)
        return manifest

    def write_manifest(self, manifest: PretrainingManifest) -> PretrainingManifest:
        """Write it, and return it with its seal."""
        manifest = manifest.sealed()
        write_text(self.path, manifest.model_dump_json(indent=1) + "\n")
        return manifest

    def recipe(self) -> PretrainingRecipe:
        return read_finished_recipe(self.folder / "pretraining.toml")

    def write_recipe(self, recipe: PretrainingRecipe) -> None:
        write_text(self.folder / "pretraining.toml", recipe.to_toml())

    def encoders(self) -> Path:
        """The file of the encoders' weights, checked against the manifest."""
        path = self.folder / ENCODERS
        verify(path, self.manifest().sha256.get(ENCODERS, ""), self.remedy)
        return path


def find_pretrainings(paths: Iterable[Path]) -> list[PretrainingRun]:
    """Every pretraining below the given folders, its own folder included; finished or not."""
    files = [file for path in paths for depth in ("", "*/", "*/*/")
             for file in sorted(path.glob(f"{depth}pretraining.toml"))]  # fmt: skip
    return [PretrainingRun(folder) for folder in dict.fromkeys(real_path(f.parent) for f in files)]
