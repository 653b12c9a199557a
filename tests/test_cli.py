"""The command line: errors are one line with a code, data goes to stdout, help is instant."""

import json
import shutil
from pathlib import Path

import pytest
from scipy.special import log_softmax

from kaggle_hw4.cli import main
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.kaggle.ledger import Ledger
from kaggle_hw4.runs import find_runs
from kaggle_hw4.workspace import shipped
from tests.conftest import TINY
from tests.kaggle_board import declare_edition

SETTINGS = [part for setting in TINY for part in ("-s", setting)]


def run(*arguments: str) -> int:
    """The exit code of the command line, called in this process."""
    try:
        main([str(a) for a in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture
def workspace(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with the corpus, entered by HW4_WORKSPACE."""
    shutil.copytree(corpus.folder, tmp_path / "here" / "packed")
    monkeypatch.setenv("HW4_WORKSPACE", str(tmp_path / "here"))
    return tmp_path / "here"


def test_the_chain_by_hand(
    workspace: Path, synthetic: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare_edition(workspace / "packed")
    assert run("split", "--folds", "2", "--by", "session") == 0
    for variant in ("strong", "boss"):
        assert run("train", "--variant", variant, "--folds", "all", *SETTINGS) == 0
    assert run("predict", workspace / "runs", "-s", "predict.segments=2") == 0
    assert run("ensemble", *sorted((workspace / "runs").iterdir())) == 0
    assert run("submit", "--to", "local", "--truth", synthetic / "truth.csv") == 0
    assert run("leaderboard", "record", "Strong+Boss_V1", "--public", "0.78825") == 0
    capsys.readouterr()
    assert run("leaderboard", "show") == 0
    shown = capsys.readouterr().out
    assert shown.count("Strong+Boss_V1") == 2, "on the local board and on Kaggle's"
    for expected in ("0.78825", "Boss baseline", "0.86500", "0.60824"):
        assert expected in shown.partition("Local board")[0]
    lines = (workspace / "submissions" / "output_Strong+Boss_V1.csv").read_text().splitlines()
    assert lines[0] == "Id,Category"
    assert len(lines) == 9


def test_a_submission_names_the_speaker_of_the_largest_mean_log_probability(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("split", "--folds", "2")
    longer = ("-s", "schedule.steps=60", "-s", "segments.frames=60", "-s", "augment.noise=0.0")
    run("train", "--variant", "boss", "--folds", "all", *SETTINGS, *longer)
    capsys.readouterr()
    run("ensemble", workspace / "runs", "--json")
    [member] = json.loads(capsys.readouterr().out)["members"]
    logits = [each.read_logits("test") for each in find_runs([workspace / "runs"])]
    mean = sum(log_softmax(each.values / member["temperature"], axis=1) for each in logits)
    speakers = json.loads((workspace / "packed" / "corpus.json").read_text())["speakers"]
    expected = [f"{i},{speakers[k]}" for i, k in zip(logits[0].ids, mean.argmax(1), strict=True)]
    written = (workspace / "submissions" / "output_Boss_V1.csv").read_text().splitlines()
    assert written == ["Id,Category", *expected]
    assert len(set(mean.argmax(1))) > 1


def test_predict_with_another_averaging_makes_another_submission(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("split", "--folds", "2")
    run("train", "--variant", "boss", "--folds", "all", *SETTINGS)
    capsys.readouterr()
    versions = []
    for segments in (0, 0, 3):
        plan = ("-s", f"predict.segments={segments}", "-s", "predict.frames=[60]")
        assert run("predict", workspace / "runs", *plan) == 0
        capsys.readouterr()
        run("ensemble", workspace / "runs", "--json")
        versions.append(json.loads(capsys.readouterr().out)["version"])
    assert versions == ["Boss_V1", "Boss_V1", "Boss_V2"]
    (workspace / "submissions" / "output_Boss_V2.csv").unlink()
    run("ensemble", workspace / "runs", "--json")
    assert json.loads(capsys.readouterr().out)["version"] == "Boss_V3"


def test_a_dry_run_of_an_ensemble_uses_up_no_version(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("split", "--folds", "2") == 0
    assert run("train", "--variant", "boss", *SETTINGS) == 0
    capsys.readouterr()
    assert run("ensemble", workspace / "runs", "--dry-run", "--json") == 0
    blend = json.loads(capsys.readouterr().out)
    assert blend["version"] == "Boss_V?"
    assert not list((workspace / "submissions").glob("*.csv"))
    assert not Ledger(workspace / "submissions").events()
    assert run("ensemble", workspace / "runs", "--json") == 0
    written = json.loads(capsys.readouterr().out)
    assert (written["version"], written["cv"]) == ("Boss_V1", blend["cv"])


def test_json_is_json_and_hints_stay_off_stdout(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (
        ("split", "--folds", "2"),
        ("train", "--variant", "simple", *SETTINGS),
        ("data", "inspect"),
        ("ensemble", str(workspace / "runs")),
        ("compare", str(workspace / "runs"), str(workspace / "runs")),
        ("submit", "--to", "web"),
        ("leaderboard", "record", "Simple_V1", "--public", "0.6"),
        ("leaderboard", "import", str(shipped("examples/past_scores.csv"))),
        ("leaderboard", "show"),
        ("leaderboard", "choose"),
    ):
        capsys.readouterr()
        assert run(*command, "--json") == 0
        assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (
            ("train", "--variant", "bos"),
            3,
            "there are boss, champion, medium, simple, strong",
        ),
        (("train", "zoo/lsm"), 3, "did you mean zoo/lstm? there are zoo/bilstm, zoo/ecapa,"),
        (("train", "--variant", "boss", "-s", "networks.d_modle=3"), 3, "did you mean d_model?"),
        (("train", "--variant", "boss"), 4, "run `hw4 split` first"),
        (("split", "--by", "video"), 2, "one of auto, session, utterance"),
        (("split", "--folds", "1"), 2, "--folds"),
        (("ensemble", "nowhere"), 2, "nowhere is no folder of runs"),
        (("submit",), 2, "no submission yet"),
        (("submit", "--to", "grandma"), 2, "one of kaggle, web, local"),
        (("submit", "--to", "web", "--truth", "t.csv"), 2, "--truth is for --to local"),
        (("ensemble", "nowhere", "--method", "median"), 2, "is no folder of runs"),
        (("compare", "nowhere", "nowhere"), 2, "nowhere is no folder of runs"),
        (("leaderboard", "choose"), 2, "no submission has a public score"),
        (("leaderboard", "import", "nowhere.csv"), 4, "nowhere.csv cannot be read"),
        (("train", "--variant", "boss", "--seed", "9" * 30), 2, "--seed"),
        (("leaderboard", "record", "Boss_V9", "--public", "0.8"), 2, "no submission 'Boss_V9'"),
        (("run", "pipelines/none.toml"), 3, "there is no pipeline 'pipelines/none.toml'"),
        (("data", "pack", "nowhere"), 4, "holds no metadata.json"),
        (("data", "pack", "nowhere", "--dtype", "int8"), 2, "float16 or float32"),
    ],
)
def test_a_mistake_is_one_line_with_its_code(
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    assert run(*command) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    if code != 2:
        assert error.count("\n") == 1


def test_a_dry_run_checks_and_sends_nothing(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("split", "--folds", "2")
    run("train", "--variant", "boss", "--folds", "all", *SETTINGS)
    declare_edition(workspace / "packed")
    run("ensemble", workspace / "runs", "--method", "vote", "--label", "Vote")
    capsys.readouterr()
    assert run("submit", "--to", "local") == 0
    shown = capsys.readouterr()
    assert shown.out == "Vote_V1 is valid; nothing was sent\n"
    assert "from validation by utterance and the gaps of 5 public solutions" in shown.err
    assert [e.event for e in Ledger(workspace / "submissions").events()] == ["created"]


def test_validation_by_both_kinds_comes_from_the_same_runs(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("split", "--folds", "2", "--by", "session")
    run("train", "--variant", "boss", "--folds", "all", *SETTINGS)
    capsys.readouterr()
    assert run("ensemble", workspace / "runs", "--json") == 0
    session, utterance = json.loads(capsys.readouterr().out)["cv"]
    assert (session["kind"], session["n"]) == ("session", 36)
    assert utterance["kind"] == "utterance"
    assert 0 < utterance["n"] < 36
    for accuracy in (session, utterance):
        assert accuracy["low"] <= accuracy["accuracy"] <= accuracy["high"]


ACCURACY = {"accuracy", "standard_error", "low", "high", "n"}
DIFFERENCE = {"difference", "won", "lost", "n", "low", "high", "standard_error", "p"}


def test_the_json_of_ensemble_and_compare_keeps_its_keys(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("split", "--folds", "2")
    for variant in ("strong", "boss"):
        run("train", "--variant", variant, "--folds", "all", *SETTINGS)
    capsys.readouterr()
    run("ensemble", workspace / "runs", "--json")
    submission = json.loads(capsys.readouterr().out)
    kept = Ledger(workspace / "submissions").events()[0]
    stage = {key: submission.pop(key) for key in ("new", "left_out", "forecast", "edition")}
    assert submission == kept.model_dump()
    assert stage == {"new": True, "left_out": {}, "forecast": None, "edition": None}
    member = submission["members"][0]
    assert set(member) == {"name", "folds", "inputs", "temperature", "oof"}
    for accuracy in (member["oof"], submission["candidates"]["uniform"]):
        assert set(accuracy) == ACCURACY
    assert set(submission["differences"]["best single"]) == DIFFERENCE
    assert set(submission["cv"][0]) == {"kind", *ACCURACY}
    run("compare", *sorted((workspace / "runs").iterdir()), "--json")
    comparison = json.loads(capsys.readouterr().out)
    assert set(comparison) == {"runs", "by", "first_less_second"}
    assert set(comparison["runs"][0]) == {"path", "members", *ACCURACY}
    assert set(comparison["first_less_second"]) == DIFFERENCE


def test_a_blend_that_cannot_be_made_names_its_flag(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("split", "--folds", "2")
    run("train", "--variant", "boss", "--folds", "all", *SETTINGS)
    for flag, value, problem in (
        ("--method", "median", "there is no method 'median'; a blend is one of auto, uniform"),
        ("--method", "greedy", "there is one member alone: greedy weights need several"),
        ("--split", "session3", "none of these runs was trained on the fold table 'session3'"),
    ):
        capsys.readouterr()
        assert run("ensemble", workspace / "runs", flag, value) == 2
        assert capsys.readouterr().err.startswith(f"hw4: {flag}: {problem}")


def test_known_counts_decide_how_often_a_speaker_is_predicted(
    workspace: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("split", "--folds", "2")
    run("train", "--variant", "boss", "--folds", "all", *SETTINGS)
    counts = tmp_path / "counts.csv"
    counts.write_text(f"speaker,count\n{corpus.speakers[2]},8\n")
    assert run("ensemble", workspace / "runs", "--counts", counts) == 0
    lines = (workspace / "submissions" / "output_Boss_V1.csv").read_text().splitlines()[1:]
    assert {line.split(",")[1] for line in lines} == {corpus.speakers[2]}
    counts.write_text(f"{corpus.speakers[2]},7\n")
    capsys.readouterr()
    assert run("ensemble", workspace / "runs", "--counts", counts) == 4
    assert "they add up to 7, the test set has 8 utterances" in capsys.readouterr().err


def test_the_shift_is_shown_in_words_and_in_json(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("data", "inspect", "--shift") == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("Unseen sessions: ")
    assert "a random split overstates it by" in shown.out
    assert run("data", "inspect", "--shift", "--json") == 0
    nearness = json.loads(capsys.readouterr().out)["nearness"]
    assert all(0 <= ratio <= 1 for ratio in nearness.values())
    assert set(nearness) == {"seen", "unseen", "test_set"}


def test_a_tilde_is_the_home_folder_in_the_option_and_in_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    scores = shipped("examples/past_scores.csv")
    assert run("--workspace=~/option", "leaderboard", "import", scores) == 0
    monkeypatch.setenv("HW4_WORKSPACE", "~/variable")
    assert run("leaderboard", "import", scores) == 0
    assert run("leaderboard", "import", scores, "--workspace=~/late") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert {path.name for path in (tmp_path / "home").iterdir()} == {"option", "variable", "late"}
    assert run("leaderboard", "show", "--workspace=~nobody-here/x") == 2
    assert "home folder of that user is not known" in capsys.readouterr().err
