"""run.json: what a finished run says of itself. Reader and writer."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_serializer,
    model_serializer,
    model_validator,
)

from kaggle_hw4.artifact import read_model, sha256_json, write_text
from kaggle_hw4.errors import DataError
from kaggle_hw4.metrics import Evaluation
from kaggle_hw4.recipe import PredictionConfig

FORMAT = 3
MAX_FOLDS = 1000  # each trains a model of its own


class Record(BaseModel):
    """Frozen and complete: a field too many or too few is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FoldTable(Record):
    """The fold table that a run was trained on."""

    name: str
    by: str
    count: Annotated[int, Field(ge=2, le=MAX_FOLDS)]
    hash: str


class Device(Record):
    """Where a model ran: the bits depend on it."""

    device: str
    precision: str
    threads: int

    def __str__(self) -> str:
        noun = "thread" if self.threads == 1 else "threads"
        return f"{self.device}, {self.precision}, {self.threads} {noun}"


class Prediction(Record):
    """How the logits were made, and where."""

    config: PredictionConfig
    device: Device

    @field_serializer("config")
    def written(self, config: PredictionConfig) -> dict[str, Any]:
        """Without keys that have their defaults, as in a recipe: seals of older manifests stay."""
        return config.model_dump(mode="json", exclude_defaults=True)


class FusionWeights(Record):
    """What a network's logits, those of both second-order statistics and those of self-training
    were multiplied by; None: there were no such. `guess` is what self-training began with.
    """

    network: float
    correlations: float | None = None
    covariances: float | None = None
    self_training: float | None = None
    guess: "FusionWeights | None" = None

    @classmethod
    def of(cls, values: tuple[float, ...], guess: "FusionWeights | None" = None) -> "FusionWeights":
        """In the order of the fields, without those that there are none of."""
        network, *others = values
        last = others.pop() if guess else None
        correlations, covariances = others or (None, None)
        return cls(
            network=network,
            correlations=correlations,
            covariances=covariances,
            self_training=last,
            guess=guess,
        )

    @property
    def values(self) -> tuple[float, ...]:
        every = (self.network, self.correlations, self.covariances, self.self_training)
        return tuple(value for value in every if value is not None)

    @model_serializer(mode="wrap")
    def written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what there is none of: seals of older manifests stay."""
        return {name: value for name, value in handler(self).items() if value is not None}


class PretrainedEncoders(Record):
    """What the encoders were before the first step."""

    run: str  # the name of the pretraining
    sha256: str  # of its weights
    transductive: bool  # it was trained on the test set's frames, too


class PseudoLabels(Record):
    """Test utterances that were trained on with the labels of an ensemble."""

    labels: str  # hash of what made them
    seal: str  # of their table
    utterances: int
    round: int
    validation: float  # accuracy of that ensemble on what the fold holds out


class TeacherLogits(Record):
    """The ensemble whose soft targets were learned from."""

    teacher: str  # hash of its members
    members: tuple[str, ...]
    sha256: str  # of its logits
    transductive: bool  # the test set's were learned from, too


class LearnedFrom(Record):
    """What a run learned from beside its labelled rows; None: nothing of the kind."""

    encoders: PretrainedEncoders | None = None
    pseudo_labels: PseudoLabels | None = None
    teacher: TeacherLogits | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What it was, in words that are the same for every fold."""
        names = []
        if self.encoders:
            names.append(f"pretraining {self.encoders.run.partition('/')[0]}")
        if self.pseudo_labels:
            names.append(f"pseudo-labels {self.pseudo_labels.labels}")
        if self.teacher:
            names.append(f"teacher {self.teacher.teacher}")
        return tuple(names)

    @property
    def transductive(self) -> bool:
        """Whether anything of it was the test set's frames."""
        pretrained = self.encoders is not None and self.encoders.transductive
        taught = self.teacher is not None and self.teacher.transductive
        return pretrained or taught or self.pseudo_labels is not None


class Manifest(Record):
    """run.json. `seen_session` is there only where the folds are by session; `earlier` are the
    devices that parts of the training ran on before it was resumed on `training`.
    """

    format: Literal[3] = 3
    variant: str
    fold: Annotated[int, Field(ge=0)]
    seed: int
    recipe: str  # hash
    corpus: str  # hash
    folds: FoldTable
    parameters: int
    steps: int
    breakpoints: tuple[tuple[int, float, float], ...] = ()  # of training.timeline: a time limit's
    seconds: float
    best_while_training: float  # validation accuracy
    memory: int  # bytes at the most
    training: Device
    earlier: tuple[Device, ...] = ()
    prediction: Prediction
    fusion: FusionWeights | None = None  # None: the network's logits alone
    validation: Evaluation
    seen_session: Evaluation | None = None
    sha256: dict[str, str]  # by the file's name
    made_by: dict[str, str]
    learned_from: LearnedFrom | None = None
    seal: str = ""  # hash of the other fields; filled in when it is written

    def sealed(self) -> "Manifest":
        """The same with its seal."""
        # Where these are empty, the seal is that of a manifest which knows no such.
        optional = ("breakpoints", "fusion", "learned_from")
        empty = {name for name in optional if not getattr(self, name)}
        values = self.model_dump(mode="json", exclude={"seal", *empty})
        return self.model_copy(update={"seal": sha256_json(values)[:16]})

    @model_validator(mode="after")
    def fold_exists(self) -> "Manifest":
        if self.fold >= self.folds.count:
            raise ValueError(f"fold is none of 0 to {self.folds.count - 1}")
        return self


def read_manifest(path: Path, name: str, remedy: str) -> Manifest:
    """DataError where the manifest of the run `name` is damaged, edited or of another version."""
    try:
        manifest = read_model(Manifest, path, "the manifest of a run", remedy)
    except DataError as error:
        if _format(path) != FORMAT:
            raise DataError(f"{name} was trained by another version of hw4", remedy) from error
        raise
    if manifest != manifest.sealed():
        raise DataError(f"{path} was changed after it was written", remedy)
    return manifest


def write_manifest(path: Path, manifest: Manifest) -> Manifest:
    """Write it, and return it with its seal."""
    manifest = manifest.sealed()
    write_text(path, manifest.model_dump_json(indent=1) + "\n")
    return manifest


def _format(path: Path) -> object:
    """The format of a manifest that cannot be read; FORMAT where it is no JSON object at all."""
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return FORMAT
    return values.get("format") if isinstance(values, dict) else FORMAT
