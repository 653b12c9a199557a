"""All that a training needs to resume as if it had never stopped. Reader and writer."""

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from kaggle_hw4.artifact import write_bytes
from kaggle_hw4.device import enough_memory, is_out_of_memory
from kaggle_hw4.errors import DataError
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.models.parallel import ParallelNetworks
from kaggle_hw4.precision import make_scaler
from kaggle_hw4.run_manifest import Device
from kaggle_hw4.training.optimizer import MovingAverage
from kaggle_hw4.training.timeline import Timeline

M = TypeVar("M", bound=ParallelNetworks[Any])


@dataclass
class TrainingState(Generic[M]):
    """A training between two steps. Random draws are functions of the step: none is kept."""

    model: M
    average: MovingAverage[M]
    optimizer: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    since_report: torch.Tensor  # sums over steps of a step's figures, the loss first
    step: int = 0  # steps done
    timeline: Timeline = field(
        default_factory=Timeline
    )  # of the schedule, stretched to the time there is
    best: float = -1.0  # highest validation accuracy so far
    best_weights: bytes = b""  # those that reached it, as safetensors
    seconds: float = 0.0  # spent training so far
    steps_since_report: int = 0
    memory: int = 0  # bytes at the most so far
    precision: str = "auto"  # as it was asked for
    devices: tuple[Device, ...] = ()  # that it has been trained on, the present one last

    @classmethod
    def start(
        cls, model: M, optimizer: torch.optim.AdamW, device: torch.device
    ) -> "TrainingState[M]":
        """The state before the first step of `model`, in the precision that the model has."""
        scaler, sums = make_scaler(device, model.precision), torch.zeros(2, device=device)
        return cls(model, MovingAverage(model), optimizer, scaler, sums)

    @property
    def place(self) -> float:
        """Where in the schedule the next step is."""
        return self.timeline.place(self.step)

    @property
    def ema(self) -> M:
        return self.average.model


State = TrainingState[SpeakerClassifier]

FORMAT = 5
READABLE = (4, FORMAT)  # 4 knows no breakpoints
MODULES = ("model", "ema", "optimizer")
PLAIN = ("step", "best", "seconds", "steps_since_report", "memory", "precision")


def save_checkpoint(path: Path, state: TrainingState[Any]) -> None:
    values: dict[str, object] = {"format": FORMAT}
    values |= {name: getattr(state, name).state_dict() for name in MODULES}
    values |= {name: getattr(state, name) for name in (*PLAIN, "since_report")}
    values["breakpoints"] = state.timeline.breakpoints
    values["scaler"] = state.scaler.state_dict()  # empty but in fp16
    values["devices"] = [each.model_dump() for each in state.devices]
    # Here, and not in a file of their own: a kill between two files would leave two states.
    values["best_weights"] = torch.from_numpy(np.frombuffer(state.best_weights, np.uint8).copy())
    buffer = io.BytesIO()  # torch's own writer calls a full disk a RuntimeError
    with enough_memory(f"{path}: the checkpoint", "choose fewer or narrower layers or networks"):
        torch.save(values, buffer)
    write_bytes(path, buffer.getvalue())


def load_checkpoint(
    path: Path, state: TrainingState[Any], device: torch.device, data: bytes | None = None
) -> None:
    """Fill `state` from `path`, or from the `data` that are in it; DataError when it is damaged."""

    def source() -> Path | io.BytesIO:
        return path if data is None else io.BytesIO(data)

    try:
        with zipfile.ZipFile(source()) as archive:
            damaged = archive.testzip()  # torch.load itself does not look at the checksums
        if damaged:
            raise zipfile.BadZipFile(f"{damaged} has changed")
        # To the CPU: load_state_dict moves what belongs on the device, and AdamW's counts of
        # steps do not.
        values = torch.load(source(), map_location="cpu", weights_only=True)
        if values.get("format") not in READABLE:
            raise ValueError(f"another version of hw4 wrote it, format {values.get('format')}")
        for name in MODULES:
            getattr(state, name).load_state_dict(values[name])
        if values["scaler"]:
            state.scaler = make_scaler(device, "fp16")
            state.scaler.load_state_dict(values["scaler"])
        for name in PLAIN:
            setattr(state, name, values[name])
        state.timeline = Timeline(tuple(map(tuple, values.get("breakpoints", ()))))
        state.devices = tuple(Device.model_validate(each) for each in values["devices"])
        state.since_report = values["since_report"].to(device)
        state.best_weights = values["best_weights"].numpy().tobytes()
    except Exception as error:  # spoiled bytes make the unpickler raise nearly anything
        if is_out_of_memory(error):
            raise
        raise DataError(
            f"{path}: not a checkpoint of this run ({error})", "delete it to train from the start"
        ) from error
