"""Help: commands in the order of the work, a sentence for every option, choices shown as such."""

import re

import pytest

from kaggle_hw4.cli.ensemble import METHODS
from kaggle_hw4.cli.options import ORDER
from kaggle_hw4.data.corpus import DTYPES
from kaggle_hw4.data.folds import KINDS
from kaggle_hw4.device import DEVICES
from kaggle_hw4.ensemble import blend
from kaggle_hw4.kaggle.events import BOARDS, DESTINATIONS
from kaggle_hw4.stages.export import FORMATS
from kaggle_hw4.stages.list_runs import ORDERS
from kaggle_hw4.tuning.objective import OBJECTIVES
from tests.test_cli import SETTINGS, run
from tests.test_cli import workspace as workspace  # the fixture
from tests.test_docs import COMMANDS, ROOT_COMMAND

OPTIONS = [
    (" ".join(path), parameter)
    for path, command in {(): ROOT_COMMAND, **COMMANDS}.items()
    for parameter in command.params
    if not getattr(parameter, "hidden", False)
]


@pytest.mark.parametrize(("command", "parameter"), OPTIONS)
def test_every_option_is_a_sentence(command: str, parameter: object) -> None:
    text = parameter.help or ""
    assert re.fullmatch(r"[A-Z`'0-9].*\.|postgresql://.*\.|Id,Category .*\.", text), text
    assert len(text) <= 90


def test_commands_are_listed_in_the_order_of_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    listed = re.findall(r"^  ([a-z-]+)  ", capsys.readouterr().out.split("Commands:")[1], re.M)
    assert listed == [name for name in ORDER if name in listed]
    assert set(listed) == set(ROOT_COMMAND.commands)


@pytest.mark.parametrize(
    ("command", "choices"),
    [
        ("split", ("auto", *KINDS)),
        ("train", DEVICES),
        ("predict", DEVICES),
        ("data pack", tuple(DTYPES)),
        ("tune", tuple(OBJECTIVES)),
        ("runs", ORDERS),
        ("runs export", FORMATS),
        ("submit", DESTINATIONS),
        ("leaderboard forget", BOARDS),
        ("ensemble", METHODS),
    ],
)
def test_choices_are_shown_with_their_default(
    command: str, choices: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command.split(), "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    shown = text.partition(f"[{'|'.join(choices)}] ")[2].partition(" --")[0]
    assert re.search(rf"\[default: ({'|'.join(choices)})", shown)


def test_the_methods_of_help_are_those_that_there_are() -> None:
    assert METHODS == blend.METHODS


def test_a_variant_is_named_by_its_place_or_by_its_option(
    workspace: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("split", "--folds", "2", "--by", "session") == 0
    assert run("train", "boss", *SETTINGS) == 0
    capsys.readouterr()
    assert run("train", "--variant", "boss", *SETTINGS) == 0
    assert "fold0-seed0" in capsys.readouterr().out
    for words in (("nope",), ("--jobs", "2", "nope"), ("nope", "--jobs=2"), ("--variant", "nope")):
        assert run("tune", *words) == 3
        assert "there is no variant 'nope'" in capsys.readouterr().err
    assert run("train", "boss", "--variant", "strong") == 2
    assert "two variants are named, boss and strong" in capsys.readouterr().err
    for command, example in (("train", "hw4 train boss"), ("tune", "hw4 tune --variant boss")):
        assert run(command) == 2
        assert f"--variant is missing; {example}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("trian", "boss"), "Did you mean 'train', 'pretrain'?"),
        (("tune", "shwo", "boss"), "Did you mean 'show'?"),
        (("leaderboard", "chose"), "Did you mean 'choose'?"),
        (("train", "--sead", "1"), "--seed"),
        (("train", "bos"), "did you mean boss?"),
        (("run", "dem"), "did you mean demo?"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_right_one(
    words: tuple[str, ...], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) in (2, 3)
    assert meant in capsys.readouterr().err
