"""What nobody would write by hand ends in one line, never in a traceback."""

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from kaggle_hw4.artifact import read_file
from kaggle_hw4.cli import main
from kaggle_hw4.device import enough_memory
from kaggle_hw4.errors import DataError, Hw4Error, RecipeError, UsageError
from kaggle_hw4.kaggle.ledger import Ledger
from kaggle_hw4.kaggle.listing import read_listing
from kaggle_hw4.kaggle.submissions import read_submission
from kaggle_hw4.kaggle.sync import record
from kaggle_hw4.pipeline import Pipeline
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.settings import key_names, override, validate
from kaggle_hw4.synth.corpus import write_utterance
from kaggle_hw4.workspace import Workspace, shipped

ODD = [0, "x", [], [1], [[]], {}, {"a": {"b": 1}}, None, True, 1e300, [{}], [{"encoder": 3}]]
FILES = {"pipelines/variants/boss.toml": Recipe, "pipelines/demo.toml": Pipeline}


def set_and_validate(model: type[Recipe | Pipeline], values: Any, setting: str) -> None:
    values = copy.deepcopy(values)
    override(values, setting)
    validate(model, values, "file")


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("file", FILES)
def test_odd_values_for_sections_are_named(file: str, value: Any) -> None:
    values = tomllib.loads(shipped(file).read_text())
    for section in values:
        odd: dict[str, Any] = values | {section: value}
        list(key_names(odd))
        for key in ("a", "0.a", "9" * 5000 + ".a", "a.b"):
            with pytest.raises(RecipeError):
                set_and_validate(FILES[file], odd, f"{section}.{key}=1")


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000])
def test_an_odd_setting_is_a_line(text: str) -> None:
    values = tomllib.loads(shipped("pipelines/variants/boss.toml").read_text())
    with pytest.raises(RecipeError) as raised:
        set_and_validate(Recipe, values, f"segments.frames={text}")
    assert len(str(raised.value)) < 1000


def test_a_loop_of_links_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match="symbolic links"):
        list(Workspace.at(tmp_path / "loop").root.iterdir())


def test_a_path_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\\udcff' is no UTF-8; rename the folder"):
        Workspace.at(tmp_path / "\udcff")


def test_a_field_of_a_mebibyte_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("fileName,date,description,status,publicScore,privateScore\n" + "x" * 2**20)
    with pytest.raises(DataError, match=r"a\.csv.* cannot be read"):
        read_submission(path)
    with pytest.raises(DataError, match=r"a\.csv holds no submissions") as caught:
        read_listing(path)
    assert "line 2: no row of a table" in caught.value.problems[0]


def test_a_file_may_be_called_output(tmp_path: Path) -> None:
    header = "fileName,date,description,status,publicScore,privateScore\n"
    row = "output_.csv,2022-04-01 12:00:00,,complete,0.5,0.6\n"
    (tmp_path / "a.csv").write_text(header + row)
    [news] = record(Ledger(tmp_path), read_listing(tmp_path / "a.csv").rows, "imported")
    assert news.version == "output_.csv"


def test_a_tensor_too_large_for_memory_is_a_line() -> None:
    for sizes in ((2**60,), (2**40, 2**40)):
        enough = enough_memory("the model", "choose fewer")
        with pytest.raises(RecipeError, match="the model needs more memory"), enough:
            torch.empty(*sizes)


def test_a_disk_that_torch_cannot_write_is_named(tmp_path: Path) -> None:
    with pytest.raises(Hw4Error, match="uttr-.*cannot be written"):
        write_utterance(tmp_path / "missing", (0, 0, 0, 0), 91)


def test_a_name_with_a_null_character_is_shown_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"old\0_{n}.csv,0.7{n},0.6{n},{n}" for n in range(2)]
    (tmp_path / "list.csv").write_text("file,private,public,ref\n" + "\n".join(rows) + "\n")
    for command in (["import", str(tmp_path / "list.csv")], ["show"]):
        with pytest.raises(SystemExit) as end:
            main(["leaderboard", *command, "--workspace", str(tmp_path)])
        assert end.value.code == 0
    assert "old\\x00_1" in capsys.readouterr().out
    with pytest.raises(OSError, match="no name of a file"):
        read_file(tmp_path / "a\0b")
