"""The events in the life of a submission: one line of JSON each in the ledger.

    created    version, label, sha256, rows, members, weights, method, cv, commit, inputs …
    submitted  version, to (local, web or kaggle); to kaggle also ref, message, date
    scored     version, board (local or kaggle), public, private (one of them may be null), how
    failed     version, board, reason: the board could not score it
    forgotten  version, board, public, private: taken off that board, with the scores it had there

Every event has `at`, its time in UTC, and `format`, the version of this layout. `seal` is the hash
of the line, `after` the seal of the one before, so that a change or a loss is noticed. Unknown
fields, and events of unknown kinds, are kept as they are. A line without a format is read as
format 1, one without a seal (of 0.2.0) as it is.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kaggle_hw4.artifact import sha256_json
from kaggle_hw4.errors import DataError, UsageError

FORMAT = 1
DESTINATIONS = ("kaggle", "web", "local")
BOARDS = ("kaggle", "local")

Half = Literal["public", "private"]
HALVES: tuple[Half, ...] = ("public", "private")


class Validation(BaseModel):
    """The accuracy on out-of-fold utterances and its 95 % interval."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str = "unknown"  # what the folds held out: session or utterance
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    standard_error: float | None = None
    n: int | None = None  # utterances


class Event(BaseModel):
    """An event of any kind, also of one that this version of hw4 does not know."""

    model_config = ConfigDict(frozen=True, extra="allow")

    event: str
    version: Annotated[str, Field(min_length=1)]
    at: str = ""  # filled in by the ledger
    format: int = FORMAT
    seal: str = ""  # of the other fields; filled in by the ledger, like `after`
    after: str = ""  # the seal of the event before

    def line(self, at: str, after: str) -> bytes:
        """The event as JSON on one line: the fields that were given, its time and its seal."""
        first = {"format": FORMAT, "event": self.event, "version": self.version, "at": at}
        given = self.model_dump(exclude_unset=True, exclude={"seal", "after"})
        values = first | given | {"at": at, "after": after}
        # A path that is no UTF-8 holds characters that readers of JSON refuse.
        text = json.dumps(values, allow_nan=False, ensure_ascii=False)
        values = json.loads(text.encode(errors="replace"))
        return json.dumps(values | {"seal": seal_of(values)}, allow_nan=False).encode()


class Created(Event):
    """hw4 wrote the file: what it was blended from, and how."""

    event: Literal["created"] = "created"
    label: str | None = None
    sha256: str = ""  # of the file
    rows: int | None = None
    members: list[Any] = Field(default_factory=list)
    weights: list[float] = Field(default_factory=list)
    method: str = ""
    candidates: dict[str, Any] = Field(default_factory=dict)
    differences: dict[str, Any] = Field(default_factory=dict)
    disagreement: list[Any] = Field(default_factory=list)
    cv: list[Validation] = Field(default_factory=list)
    commit: str = ""
    asked: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(default_factory=dict)  # file of logits → sha256


class Submitted(Event):
    """The file was sent to a board. Raises UsageError for a destination that does not exist."""

    event: Literal["submitted"] = "submitted"
    to: str
    ref: str = ""  # Kaggle's number for it
    message: str = ""
    date: str = ""  # UTC, as 2022-04-01T12:00:00

    @model_validator(mode="before")
    @classmethod
    def destination_exists(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("to") not in DESTINATIONS:
            known = ", ".join(DESTINATIONS)
            raise UsageError(f"cannot submit to {values.get('to')!r}", f"use {known}", "to")
        return values


class Scored(Event):
    """Scores on a board: accuracies on its halves. Raises UsageError for anything else."""

    event: Literal["scored"] = "scored"
    board: str
    public: float | None = None
    private: float | None = None
    n_public: int | None = None  # rows of that half, where known
    n_private: int | None = None
    how: str = ""  # where the scores come from

    @model_validator(mode="before")
    @classmethod
    def scores_are_fractions(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            _check_scores(values)
        return values

    def score(self, half: Half) -> float | None:
        """The accuracy on one half of the board; None where it is not known."""
        return self.public if half == "public" else self.private

    def updated(self, newer: "Scored") -> "Scored":
        """The newer scores; what they leave open (private, before the end) stays as known."""
        given = newer.model_dump(exclude_unset=True).items()
        return self.model_copy(update={name: value for name, value in given if value is not None})


class Failed(Event):
    """The board could not score the submission."""

    event: Literal["failed"] = "failed"
    board: str = "kaggle"
    reason: str = ""


class Forgotten(Event):
    """A person took the version off a board: it counts as never sent there, and never scored."""

    event: Literal["forgotten"] = "forgotten"
    board: str
    public: float | None = None  # what is no longer known
    private: float | None = None


KINDS: Mapping[str, type[Event]] = {
    "created": Created,
    "submitted": Submitted,
    "scored": Scored,
    "failed": Failed,
    "forgotten": Forgotten,
}


def seal_of(values: Mapping[str, Any]) -> str:
    """The hash of an event's fields without its seal."""
    return sha256_json({name: value for name, value in values.items() if name != "seal"})[:16]


def parse(line: bytes, path: Path) -> Event | None:
    """The event in a line of the ledger `path`.

    None for a line that a crash has torn, or that was changed after it was written. Raises
    DataError for a line of another format: ignoring it would lose what it says.
    """
    try:
        values = json.loads(line)
        form, kind = values.get("format", FORMAT), KINDS.get(values["event"], Event)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    if form != FORMAT:
        what = f"{path}: an event of format {form}, this hw4 reads format {FORMAT}"
        raise DataError(what, "use the version of hw4 that wrote it, or a newer one")
    if "seal" in values and values["seal"] != seal_of(values):
        return None
    try:
        return kind.model_validate(values)
    except (UsageError, ValueError):
        return None


def _check_scores(values: Mapping[str, Any]) -> None:
    """In words for the user: a score may have been typed by hand."""
    version, board = values.get("version"), values.get("board")
    if board not in BOARDS:
        raise UsageError(f"no board {board!r}", f"the boards are {', '.join(BOARDS)}")
    scores = {half: values.get(half) for half in HALVES}
    if all(score is None for score in scores.values()):
        raise UsageError(f"{version}: no score given", "give the public, the private or both")
    for half, score in scores.items():
        if score is not None and not _is_score(score):
            raise UsageError(
                f"{version}: {half} score {score!r} is not between 0 and 1",
                "a score is a fraction such as 0.78825",
                parameter=half,
            )


def _is_score(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
