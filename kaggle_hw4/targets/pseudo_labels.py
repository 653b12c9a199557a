"""Pseudo-labels of a fold: test utterances with the speakers that an ensemble is sure of. Reader
and writer.

    pseudo-labels/<hash>/fold<k>.json    <hash> covers members, thresholds, corpus and fold table
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from kaggle_hw4.artifact import read_model, sha256_json, write_text
from kaggle_hw4.errors import DataError
from kaggle_hw4.run_manifest import FoldTable, Record

REMEDY = "delete it and run `hw4 pseudo-label` again"


class LabellingMember(Record):
    """A member of the ensemble that made them."""

    name: str
    sha256: str  # of its logits of the test set
    temperature: float  # that calibrates them, fitted out of fold


class PseudoLabelTable(Record):
    """Who is in the table, why, and what made it. Of `utterances` in the test set the members
    agreed on so many, were sure of so many of these, and `labels` has those that are kept.
    """

    format: Literal[1] = 1
    corpus: str  # hash
    folds: FoldTable
    fold: int
    members: tuple[LabellingMember, ...]
    confidence: float  # the least probability of a label
    most: int  # labels of a speaker
    utterances: int
    agreed: int
    confident: int
    round: int  # 1: no member was trained on pseudo-labels
    validation: float  # accuracy of the members' blend on what the fold holds out
    labels: Mapping[str, str]  # utterance → speaker
    made_by: dict[str, str]
    seal: str = ""  # hash of the other fields; filled in when it is written

    def sealed(self) -> "PseudoLabelTable":
        """The same with its seal."""
        values = self.model_dump(mode="json", exclude={"seal"})
        return self.model_copy(update={"seal": sha256_json(values)[:16]})


def path_of(folder: Path, labels: str, fold: int) -> Path:
    """The table of a fold, in the workspace's folder of them."""
    return folder / labels / f"fold{fold}.json"


def write_pseudo_labels(path: Path, table: PseudoLabelTable) -> PseudoLabelTable:
    """Write it, and return it with its seal."""
    table = table.sealed()
    write_text(path, table.model_dump_json(indent=1) + "\n")
    return table


def read_pseudo_labels(path: Path) -> PseudoLabelTable:
    """DataError where it is missing, damaged, edited or of another version."""
    if not path.is_file():
        raise DataError(f"there are no pseudo-labels {path}", "`hw4 pseudo-label` makes them")
    table = read_model(PseudoLabelTable, path, "a table of pseudo-labels", REMEDY)
    if table != table.sealed():
        raise DataError(f"{path} was changed after it was written", REMEDY)
    return table
