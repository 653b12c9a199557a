"""A training that begins from pretrained encoders: those weights, no others, and it says so."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds, write_folds
from kaggle_hw4.errors import DataError, RecipeError
from kaggle_hw4.inference.weights import initialise_encoders
from kaggle_hw4.models.build import build_model
from kaggle_hw4.runs import find_runs
from tests.conftest import TINY, tiny
from tests.test_cli import SETTINGS, run
from tests.test_cli import workspace as workspace  # the fixture
from tests.test_pretraining import pretrained, recipe_of

WITHOUT_STEPS = [
    part for setting in TINY if not setting.startswith("schedule.") for part in ("-s", setting)
]


def test_the_encoders_change_and_nothing_else(corpus: Corpus, folds: Folds, tmp_path: Path) -> None:
    source = pretrained(recipe_of("masked"), corpus, folds, tmp_path).encoders()
    torch.manual_seed(0)
    model = build_model(tiny("boss", "networks.count=2"), 4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    initialise_encoders(model, source)
    written = load_file(source)
    for name, value in model.state_dict().items():
        _, _, part, *rest = name.split(".")
        if part == "encoder":
            assert torch.equal(value, written[".".join(["0", *rest])]), name
        else:
            assert torch.equal(value, before[name]), name


def test_each_network_takes_the_next_encoder_of_its_shape(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    recipe = recipe_of("masked", "networks.count=2")
    source = pretrained(recipe, corpus, folds, tmp_path).encoders()
    written = load_file(source)
    model = build_model(tiny("boss", "networks.count=3"), 4)
    initialise_encoders(model, source)
    for network, number in zip(model.networks, (0, 1, 0), strict=True):
        weight = network.encoder.stem.out.weight
        assert torch.equal(weight, written[f"{number}.stem.out.weight"])


def test_another_shape_is_refused_with_both(corpus: Corpus, folds: Folds, tmp_path: Path) -> None:
    source = pretrained(recipe_of("masked"), corpus, folds, tmp_path).encoders()
    wide = build_model(tiny("boss", "networks.d_ffn=24"), 4)
    before = {name: value.clone() for name, value in wide.state_dict().items()}
    with pytest.raises(DataError, match=r"no encoder of this shape: here .*24.*; there .*16"):
        initialise_encoders(wide, source)
    assert all(torch.equal(value, before[name]) for name, value in wide.state_dict().items())
    source.write_bytes(b"nothing")
    with pytest.raises(DataError, match="not the encoders of a pretraining"):
        initialise_encoders(wide, source)


def test_the_chain_from_pretraining_to_the_ledger(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("split", "--folds", "2", "--by", "session") == 0
    pretrain = ("pretrain", "boss", "--steps", "2", "--transductive", *WITHOUT_STEPS)
    assert run(*pretrain, "--folds", "all") == 0
    shown = capsys.readouterr()
    group = re.search(r"start.initialise_from=(boss-masked-[0-9a-f]{8})", shown.err)[1]
    assert "explained" in shown.out
    start = ("-s", f"start.initialise_from={group}")
    assert run("train", "boss", "--folds", "all", *SETTINGS) == 0
    assert run("train", "boss", "--folds", "all", *SETTINGS, *start) == 0
    capsys.readouterr()
    assert run("runs", "pretrained") == 0
    listed = capsys.readouterr().out
    assert listed.count(group) == 2
    assert "training and test set" in listed
    pretrained, plain = sorted(
        (each for each in find_runs([workspace / "runs"]) if each.fold == 1),
        key=lambda each: each.recipe().start is None,
    )
    record = pretrained.manifest().learned_from.encoders
    assert record.run == f"{group}/fold1-seed0"
    assert record.transductive
    assert plain.manifest().learned_from is None
    assert pretrained.recipe().hash != plain.recipe().hash
    assert (
        f'[start]\ninitialise_from = "{group}"' in (pretrained.folder / "recipe.toml").read_text()
    )
    capsys.readouterr()
    assert run("runs", "--json") == 0
    assert f'start.initialise_from=\\"{group}\\"' in capsys.readouterr().out
    assert run("ensemble", workspace / "runs", "--json") == 0
    members = json.loads(capsys.readouterr().out)["members"]
    assert [member.get("transductive", False) for member in members].count(True) == 1


def test_a_pretraining_that_is_missing_or_of_another_fold_is_refused(
    workspace: Path, corpus: Corpus, folds: Folds, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folds(workspace / "folds", folds, corpus)
    name = pretrained(recipe_of("masked"), corpus, folds, workspace / "runs").name
    for fold, value, code, expected in (
        ("0", "boss-masked-00000000", 4, "there is no finished pretraining"),
        ("1", name, 4, "was made on fold 0, not on 1"),
        ("0", "../runs", 3, "start.initialise_from"),
    ):
        words = ("train", "boss", "--fold", fold, "-s", f"start.initialise_from={value}")
        assert run(*words, *SETTINGS) == code
        assert expected in capsys.readouterr().err


def test_a_recipe_without_a_start_is_what_it_was() -> None:
    recipe = tiny("boss")
    assert "start" not in recipe.sections()
    assert "start" not in recipe.to_toml()
    with pytest.raises(RecipeError, match="did you mean initialise_from"):
        tiny("boss", "start.initialize_from=x")
