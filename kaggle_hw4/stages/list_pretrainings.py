"""From the folder of runs to the encoders that were trained without labels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaggle_hw4.errors import Hw4Error
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.pretraining.run import PretrainingManifest, PretrainingRun


@dataclass(frozen=True)
class PretrainingState:
    """A pretraining: with its manifest, or how far it is, or why it cannot be read."""

    run: str
    manifest: "PretrainingManifest | None" = None
    step: int = 0
    steps: int = 0
    running: bool = False
    problem: str | None = None


def list_pretrainings(workspace: Workspace) -> list[PretrainingState]:
    """All that there are, by name."""
    from kaggle_hw4.pretraining.run import find_pretrainings

    runs = sorted(find_pretrainings([workspace.runs]), key=lambda run: run.name)
    return [_state(run) for run in runs]


def _state(run: "PretrainingRun") -> PretrainingState:
    from kaggle_hw4.locks import is_locked

    try:
        if run.done:
            manifest = run.manifest()
            return PretrainingState(run.name, manifest, manifest.steps, manifest.steps)
        *_, last = [{"step": 0.0}, *run.logged()]
        steps = run.recipe().schedule.steps
        return PretrainingState(run.name, None, int(last["step"]), steps, is_locked(run.lock))
    except Hw4Error as error:
        return PretrainingState(run.name, problem=str(error))
