"""The next command, as it has to be typed: with the settings, the fold table and the workspace."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_hw4.workspace import Workspace, shown

if TYPE_CHECKING:
    from kaggle_hw4.execution.spec import RunSpec
    from kaggle_hw4.stages.train import FinishedRun

NO_DATASET = "hw4 data download"
LONGEST = 300  # characters of a command that is shown again
_typed: list[str] = []


def remember(words: Sequence[str]) -> None:
    """Keep what was typed after `hw4`."""
    _typed[:] = words


def in_same_workspace(command: str) -> str:
    """`command` with the --workspace that was typed for this one."""
    place = next((i for i, word in enumerate(_typed) if word.startswith("--workspace")), None)
    if place is None or not command.startswith("hw4 ") or "--workspace" in command:
        return command
    value = _typed[place].partition("=")[2] or " ".join(_typed[place + 1 : place + 2])
    return f"{command} --workspace {_quoted(value)}"


def same_command(without: str = "", plus: str = "") -> str:
    """What was typed, without a flag and with another."""
    words = [word for word in _typed if word != without] + ([plus] if plus else [])
    command = " ".join(map(_quoted, ["hw4", *words]))
    if len(command) <= LONGEST:
        return command
    return f"the same {f'without {without}' if without else f'with {plus}'}"


def all_runs(workspace: Workspace) -> str:
    """What the shell makes all folders of runs of."""
    return f"{shown(workspace.runs)}/*"


def next_step(workspace: Workspace) -> str:
    """What makes the first thing that is missing, in the order of the work."""
    if not workspace.corpus.is_dir():
        dataset = workspace.root / "Dataset"
        return f"hw4 data pack {_quoted(shown(dataset))}" if dataset.is_dir() else NO_DATASET
    if not any(workspace.folds.glob("*.csv")):
        return "hw4 split --folds 5"
    if not any(workspace.runs.glob("*/*/run.json")):
        return "hw4 train boss --folds all"
    return f"hw4 ensemble {all_runs(workspace)}"


def after_split(workspace: Workspace, name: str) -> str:
    return f"hw4 train boss --folds all{_table(workspace, name)}"


def after_training(spec: "RunSpec", runs: "Sequence[FinishedRun]") -> str:
    """The folds of this recipe that are missing, for the same seeds; else the ensemble."""
    workspace = Workspace.at(Path(spec.workspace))
    table = runs[0].manifest.folds
    seeds = sorted({each.manifest.seed for each in runs})
    group = runs[0].run.folder.parent
    missing = [
        fold
        for fold in range(table.count)
        if not all((group / f"fold{fold}-seed{seed}" / "run.json").is_file() for seed in seeds)
    ]
    if not missing:
        return f"hw4 ensemble {all_runs(workspace)}{_table(workspace, table.name)}"
    words = ["hw4 train", _quoted(spec.variant)]
    words += ["--folds", "all" if len(missing) == table.count else ",".join(map(str, missing))]
    words += [f"--seed {seed}" for seed in seeds if seeds != [0]]
    # What was chosen for a time limit is laid over what was typed: the last value of a key counts.
    last = {setting.partition("=")[0]: i for i, setting in enumerate(spec.settings)}
    words += [f"-s {_quoted(spec.settings[i])}" for i in sorted(last.values())]
    words += [f"--device {spec.device}"] if spec.device != "auto" else []
    words += [f"--precision {spec.precision}"] if spec.precision != "auto" else []
    return " ".join(words) + _table(workspace, table.name)


def _table(workspace: Workspace, name: str) -> str:
    """The option that names a fold table, where there are several."""
    several = len(list(workspace.folds.glob("*.csv"))) > 1
    return f" --split {_quoted(name)}" if several else ""


def _quoted(word: str) -> str:
    from shlex import quote  # every command would have to import it

    return quote(word)
