"""Where every artifact lives."""

import os
from dataclasses import dataclass
from pathlib import Path

from kaggle_hw4.errors import RecipeError, UsageError

PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Workspace:
    """A folder with one corpus and every artifact made from it."""

    root: Path

    @classmethod
    def at(cls, root: Path | None = None) -> "Workspace":
        """The given folder, else the one that HW4_WORKSPACE names, else the current one.

        `~` and `~user` are expanded; UsageError for a user that does not exist.
        """
        folder = root or Path(os.environ.get("HW4_WORKSPACE") or ".")
        try:
            return cls(real_path(folder.expanduser()))
        except RuntimeError as error:
            what = f"{folder}: the home folder of that user is not known"
            raise UsageError(what, "write ./~… for a folder of that name") from error

    @property
    def corpus(self) -> Path:
        return self.root / "packed"

    @property
    def folds(self) -> Path:
        return self.root / "folds"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def pseudo_labels(self) -> Path:
        return self.root / "pseudo-labels"

    @property
    def teachers(self) -> Path:
        return self.root / "teachers"

    @property
    def run_folders(self) -> list[Path]:
        """The folders of runs that there are: `runs`, and those of the finals of every study."""
        return [path for path in (self.runs, *sorted(self.studies.glob("*/runs"))) if path.is_dir()]

    def groups_of_runs(self, name: str) -> list[Path]:
        """The folder of runs called `name`; of a variant, that of each recipe which was trained."""
        import glob

        path = Path(name)
        if "*" in name and not path.exists():  # the shell has found nothing
            trained = any(self.runs.glob("*/*/recipe.toml"))
            then = f"the runs are in {shown(self.runs)}" if trained else "`hw4 train` makes runs"
            raise UsageError(f"nothing is called {name}", then)
        if path.exists() or os.sep in name:
            return [path]
        return sorted(self.runs.glob(f"{glob.escape(name)}-{'[0-9a-f]' * 8}")) or [path]

    @property
    def studies(self) -> Path:
        return self.root / "studies"

    @property
    def submissions(self) -> Path:
        return self.root / "submissions"

    def variant(self, name: str) -> Path:
        """The recipe file of a variant: a path, or a name in the workspace's or hw4's own."""
        return self._find(name, "pipelines/variants", "variant")

    def pipeline(self, name: str) -> Path:
        """The file of a pipeline: a path, or a name in the workspace's or hw4's own."""
        return self._find(name, "pipelines", "pipeline")

    def space(self, name: str) -> Path:
        """The file of a search space: a path, or a name in the workspace's or hw4's own."""
        return self._find(name, "studies/spaces", "space")

    def shown(self, path: Path) -> str:
        """`path` as a person in the current folder would type it."""
        return shown(path)

    def _find(self, name: str, folder: str, kind: str) -> Path:
        if name.endswith(".toml"):
            tried = [Path(name), self.root / name, shipped(name)]
        else:
            tried = [self.root / folder / f"{name}.toml", shipped(f"{folder}/{name}.toml")]
        for path in tried:
            if path.is_file():
                return path
        names = {
            path.relative_to(place).with_suffix("").as_posix()
            for place in (self.root / folder, shipped(folder))
            for path in place.rglob("*.toml")
        }
        import difflib

        # Those in folders (zoo/lstm) are many: they are listed to who names the folder.
        inside = name.rpartition("/")[0]
        known = sorted(n for n in names if n.rpartition("/")[0] == inside) or sorted(names)
        near = difflib.get_close_matches(name, sorted(names), 1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise RecipeError(f"there is no {kind} {name!r}", f"{meant}there are {', '.join(known)}")


def real_path(path: Path) -> Path:
    """`path`, absolute and without links; UsageError for one that torch's C++ cannot open."""
    real = os.path.realpath(path)  # never raises for a loop of links, as Path.resolve does
    try:
        real.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{real!r} is no UTF-8", "rename the folder") from error
    return Path(real)


def shown(path: Path) -> str:
    """`path` as a person in the current folder would type it."""
    current = Path.cwd()
    return str(path.relative_to(current) if path.is_relative_to(current) else path)


def shipped(name: str) -> Path:
    """A file that comes with hw4: beside the package in a checkout, inside it in a wheel."""
    inside = PACKAGE / name
    return inside if inside.exists() else PACKAGE.parent / name
