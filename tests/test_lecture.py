"""docs/lecture.md: its commands run, and its exact claims are exact."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.lecture import attention, margin, page, pooling, recurrent, sets
from benchmarks.lecture.__main__ import CLAIMS
from benchmarks.lecture.__main__ import main as measure
from benchmarks.lecture.claims import Claim, difference
from benchmarks.lecture.lab import Lab
from kaggle_hw4.cli import main
from kaggle_hw4.models.attention import SelfAttention
from kaggle_hw4.recipe import LossConfig
from kaggle_hw4.training.loss import margin_losses
from kaggle_hw4.workspace import Workspace

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "lecture.md"
SPEAKERS = 4


def commands() -> list[str]:
    """The lines of the page's code blocks, those that are broken joined."""
    blocks = "".join(re.findall(r"```\n(.*?)```", PAGE.read_text(), re.DOTALL))
    return [line.split("  #")[0].strip() for line in blocks.replace("\\\n", " ").splitlines()]


def tiny(command: str) -> list[str]:
    """Its arguments, with those that make a training as small as the tiny corpus."""
    words = shlex.split(command)[1:]
    if words[:2] == ["data", "synth"]:
        return [*words, "--speakers", str(SPEAKERS), "--frames", "120"]
    if words[0] not in ("train", "pretrain"):
        return words
    words += ["--steps", "2"] if words[0] == "pretrain" else []
    settings = ["networks.d_model=16", "networks.d_embedding=16", "segments.batch_size=4"]
    settings += ["segments.frames=24", "schedule.steps=2", "schedule.warmup_steps=1"]
    return [*words, *(part for setting in settings for part in ("-s", setting))]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace in which the commands of the page have run, in their order."""
    folder = tmp_path_factory.mktemp("lecture")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("HW4_WORKSPACE", raising=False)  # which a test before may have left
        for command in commands():
            with pytest.raises(SystemExit) as ended:
                main(expanded(tiny(command)))
            assert not ended.value.code, command
    yield folder
    shutil.rmtree(folder)


def expanded(words: list[str]) -> list[str]:
    """As a shell does it: `runs/*` as the folders that there are."""
    return [
        path
        for word in words
        for path in (sorted(map(str, Path().glob(word))) if "*" in word else [word])
    ]


@pytest.fixture(scope="module")
def lab(workspace: Path) -> Lab:
    return Lab("tiny", Workspace.at(workspace), workspace / "corpus" / "truth.csv", 2, (0, 1))


def test_the_commands_of_the_page_run_as_they_are_written(workspace: Path) -> None:
    trained = {path.name.rpartition("-")[0] for path in (workspace / "runs").iterdir()}
    named = {shlex.split(c)[2].split("/")[-1] for c in commands() if c.startswith("hw4 train")}
    assert trained >= named
    assert len(list((workspace / "submissions").glob("*.csv"))) == 1


def test_every_claim_has_a_place_on_the_page() -> None:
    blocks = [match[1] for match in page.BLOCK.finditer(PAGE.read_text())]
    assert sorted(blocks) == sorted([*CLAIMS, "conditions"])


def test_the_page_says_what_was_measured() -> None:
    every = page.read_all(ROOT / "docs" / "lecture")
    text = PAGE.read_text()
    for match in page.BLOCK.finditer(text):
        assert match[0] == page.block(match[1], every), match[1]


def test_every_picture_is_small_and_shown() -> None:
    pictures = {path.name for path in (ROOT / "docs" / "lecture").glob("*.svg")}
    assert pictures == set(re.findall(r"\(lecture/([\w-]+\.svg)\)", PAGE.read_text()))
    for name in pictures:
        text = (ROOT / "docs" / "lecture" / name).read_text()
        assert len(text) < 60_000
        assert "prefers-color-scheme:dark" in text


@pytest.mark.parametrize("key", ["padding", "matrices", "gates", "spectral"])
def test_an_exact_claim_holds_for_models_that_learned_nothing(key: str, lab: Lab) -> None:
    result = CLAIMS[key](lab)
    claim = result[0] if isinstance(result, tuple) else result
    assert claim.holds, claim.rows


def test_without_positions_shuffled_frames_give_the_same_embedding(lab: Lab) -> None:
    for kind, name in attention.POSITIONS.items():
        [model, _] = lab.train(name)
        shuffled = lab.embed(model, after=attention.shuffled)
        change = attention.relative_change(lab.embed(model), shuffled)
        assert (change < 1e-5) == (kind == "none"), (kind, change)


def test_a_head_attends_by_its_own_scores_to_its_own_values() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(8, 2, 0.0, rotary=False).eval(), torch.randn(1, 9, 8)
    weights, by_hand = attention.matrices(x[0], layer)
    assert torch.allclose(layer(x, None)[0], by_hand, atol=1e-6)
    assert weights.shape == (2, 9, 9)
    layer.n_heads = 1
    assert (layer(x, None)[0] - by_hand).abs().max() > 1e-3


def test_heads_that_share_their_values_are_one_large_head_but_for_the_softmax() -> None:
    q, k, v = attention.shared_values()
    scores = q @ k.transpose(1, 2)
    assert torch.allclose((scores @ v).sum(0), scores.sum(0) @ v, atol=1e-3)
    assert not torch.allclose((scores.softmax(-1) @ v).mean(0), scores.sum(0).softmax(-1) @ v)


def test_padding_without_a_mask_changes_the_logits(lab: Lab) -> None:
    model, utterances = lab.train("zoo/transformer")[0], lab.test
    alone = sets.logits_alone(model, utterances)
    masked, unmasked = (sets.padded_logits(model, utterances, -20, on) for on in (True, False))
    assert (masked - alone).abs().max() < 1e-4 < (unmasked - alone).abs().max()


def test_the_formulas_of_the_notes_are_pytorchs_lstm() -> None:
    torch.manual_seed(0)
    lstm, x = torch.nn.LSTM(5, 7, batch_first=True), torch.randn(1, 11, 5)
    outputs, gates = recurrent.lstm_by_hand(x[0], lstm)
    assert torch.allclose(outputs, lstm(x)[0][0], atol=1e-6)
    assert gates["forget"].shape == (11, 7)


def test_a_margin_asks_for_more_of_the_true_class_alone() -> None:
    config = LossConfig(
        margin=0.2, margin_type="am", margin_warmup_steps=0, scale=30, label_smoothing=0
    )
    cosines, labels = torch.tensor([[0.8, 0.5, 0.1], [0.2, 0.7, 0.6]]), torch.tensor([0, 1])
    losses = margin_losses(30 * cosines, labels, config, torch.tensor(0.2))
    lowered = cosines - 0.2 * F.one_hot(labels, 3)
    assert torch.allclose(losses, F.cross_entropy(30 * lowered, labels, reduction="none"))
    assert (losses > F.cross_entropy(30 * cosines, labels, reduction="none")).all()


def test_a_gap_is_the_true_cosine_less_the_nearest_other() -> None:
    gaps = margin.gaps(np.array([[0.8, 0.5, 0.1], [0.2, 0.1, 0.6]]), np.array([0, 1]))
    assert gaps == pytest.approx([0.3, -0.5])


def test_added_silence_is_its_share_of_the_utterance() -> None:
    x, random = torch.randn(60, 40), np.random.default_rng(0)
    for kind in ("silence", "noise"):
        changed = pooling.added(kind, 0.75)(x, random)
        assert len(changed) == 240
        assert torch.equal(torch.cat([changed[:30], changed[210:]]), x)


def test_the_error_of_a_difference_is_over_speakers() -> None:
    first, second = np.array([[True] * 4, [True] * 4]), np.array([[True] * 4, [False] * 4])
    gain = difference(first, second, np.array([0, 0, 1, 1]))
    assert (gain.points, gain.error) == (50.0, 0.0)
    assert gain.is_gain


def test_a_claim_that_fails_on_a_corpus_is_said_to(tmp_path: Path) -> None:
    claim = Claim("order", "Order is lost", "it is", True, ("a",), (("1",),))
    failed = Claim("order", "Order is lost", "it is", False, ("a",), (("2",),))
    for name, each in (("synthetic", claim), ("EN150", failed)):
        page.Measured(name, "make lecture", "small.", False, (each,)).save(tmp_path)
    text = page.block("order", page.read_all(tmp_path))
    assert "Confirmed on synthetic. **Not confirmed** on EN150." in text
    assert "| synthetic | 1 |\n| EN150 | 2 |" in text


def test_a_claim_measured_without_pictures_keeps_those_of_the_others(tmp_path: Path) -> None:
    for pictures, key in ((True, "order"), (False, "heads")):
        claim = Claim(key, "Order is lost", "it is", True, ("a",), (("1",),))
        page.Measured("tiny", "make lecture", "small.", pictures, (claim,)).save(tmp_path)
    [measured] = page.read_all(tmp_path)
    assert measured.pictures
    assert [claim.key for claim in measured.claims] == ["order", "heads"]


def test_what_is_measured_is_written_into_the_page(lab: Lab, tmp_path: Path) -> None:
    shutil.copy(PAGE, tmp_path / "lecture.md")
    place, truth = str(lab.place.root), str(lab.truth)
    measure(["matrices", "--corpus", "tiny", place, truth, "--steps", "2", "--docs", str(tmp_path)])
    [measured] = page.read_all(tmp_path / "lecture")
    assert measured.claims[0].holds
    text = (tmp_path / "lecture.md").read_text()
    assert page.block("matrices", [measured]) in text
    assert "- **tiny**: 4 speakers" in text
    assert (tmp_path / "lecture" / "attention.svg").is_file()
