"""The report: every section of a workspace, and one sentence for what is missing."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kaggle_hw4 import Project
from kaggle_hw4.cli import main
from kaggle_hw4.competition import DEFAULT
from kaggle_hw4.errors import UsageError
from kaggle_hw4.report.subject import SECTIONS
from kaggle_hw4.report.write import write_report
from kaggle_hw4.workspace import Workspace
from tests.kaggle_board import declare_edition
from tests.report_workspace import HOSTILE, REASON, chain, score_on_kaggle

__all__ = ["chain"]
FIGURES = {
    "board": 2,
    "comparison": 4,
    "models": 5,
    "data": 4,
    "ensemble": 3,
    "study": 4,
    "cost": 1,
}
MOMENT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def page(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page") / "report.html"
    written = write_report(Workspace.at(chain), out=out, time=MOMENT)
    assert written.absent == ()
    return out.read_text()


def sections(page: str) -> dict[str, str]:
    parts = re.finditer(r'<section id="(\w+)".*?</section>', page, re.DOTALL)
    return {part[1]: part[0] for part in parts}


def test_every_section_is_there_with_figures_tables_and_words(page: str) -> None:
    assert list(sections(page)) == list(SECTIONS)
    for name, text in sections(page).items():
        assert text.count("<svg") >= FIGURES[name], name
        assert text.count("<table") >= text.count("<svg"), "every figure has its numbers"
        assert re.search(r"<p>[^<]{40,}", text), f"{name} has a sentence"


def test_the_time_of_all_runs_is_in_the_unit_that_fits(page: str) -> None:
    assert re.search(r"4 finished runs took \d+ s of training", sections(page)["cost"])


def test_every_figure_has_a_title_a_description_and_ids_of_its_own(page: str) -> None:
    for svg in re.findall(r"<svg[^>]*>", page):
        title, text = re.search(r'aria-labelledby="(\S+) (\S+)"', svg).groups()
        assert re.search(f'<title id="{title}">[^<]+</title><desc id="{text}">[^<]+</desc>', page)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_page_names_no_address_and_is_small(page: str) -> None:
    assert not re.findall(r"https?:|//[a-z]", re.sub(r"data:image[^\"]*|\s// .*", "", page))
    assert len(page) < 700_000


def test_hostile_names_are_text(page: str) -> None:
    assert page.count("<script>") == 1
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert REASON.replace("<", "&lt;").replace(">", "&gt;") in page
    assert "$x_2$ 화자" in page, "no name is mathematics"
    assert (
        HOSTILE[1].replace("&", "&amp;").split('"')[1].split("<")[0].replace("'", "&#x27;") in page
    )


def test_the_same_workspace_gives_the_same_bytes_but_for_the_time(
    chain: Path, page: str, tmp_path: Path
) -> None:
    out = tmp_path / "again.html"
    write_report(Workspace.at(chain), out=out, time=datetime(2027, 1, 2, tzinfo=UTC))
    first = page.replace("2026-01-02", "2027-01-02")
    assert out.read_text() == first
    stamp = out.stat().st_mtime_ns
    write_report(Workspace.at(chain), out=out, time=MOMENT)
    assert out.stat().st_mtime_ns == stamp, "a page that says the same is left alone"


def test_the_report_changes_nothing_in_the_workspace(chain: Path, tmp_path: Path) -> None:
    def stamps() -> dict[Path, int]:
        return {p: p.stat().st_mtime_ns for p in chain.rglob("*") if p.name != ".lock"}

    before = stamps()
    write_report(Workspace.at(chain), out=tmp_path / "report.html")
    assert stamps() == before


@pytest.mark.parametrize("board", ["Kaggle's", "no scores", "none"])
def test_kaggles_scores_stand_beside_the_baselines_of_the_edition(
    chain: Path, tmp_path: Path, board: str
) -> None:
    root = Path(shutil.copytree(chain, tmp_path / "workspace"))
    ledger = root / "submissions" / "ledger.jsonl"
    if board == "none":
        ledger.unlink()
    elif board == "no scores":
        created = [line for line in ledger.read_text().splitlines() if '"created"' in line]
        ledger.write_text(created[0] + "\n")
    else:
        declare_edition(root / "packed")
        score_on_kaggle(root)
    name = "Strong_V1" if board == "no scores" else None
    shown = write_report(Workspace.at(root), name).path.read_text()
    text = sections(shown)["board"]
    if board == "none":
        assert "The ledger has no submission yet." in text
        assert "<code>hw4 ensemble runs/*</code>" in text
    elif board == "no scores":
        assert "No submission has a score yet (Strong_V1)." in text
        assert "truth file" not in text
    else:
        assert "Boss</text>" in text, "a baseline's line has its name"
        assert re.search(r"Strong_V1 is 1\.[56] ± \d\.\d points above Boss_V1", text)
        assert re.findall(r"https?://[^\s<)]+", shown) == [DEFAULT.page]


def test_an_empty_workspace_says_what_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--workspace", str(tmp_path), "report"])
    assert capsys.readouterr().err.startswith("next: hw4 data download")
    page = (tmp_path / "report.html").read_text()
    assert page.count('class="missing"') == len(SECTIONS)
    for command in ("data pack Dataset", "train boss", "ensemble runs/*", "tune boss"):
        assert f"<code>hw4 {command}" in page


@pytest.mark.parametrize(
    ("name", "title", "names"),
    [
        ("boss", "Study boss", ["study"]),
        ("Boss_V1", "Submission Boss_V1", ["board", "comparison", "models", "ensemble", "cost"]),
        ("fold0-seed0", "Runs fold0-seed0", ["comparison", "models", "data", "cost"]),
    ],
)
def test_a_report_can_be_about_one_thing(
    chain: Path, tmp_path: Path, name: str, title: str, names: list[str]
) -> None:
    if name.startswith("fold"):
        [folder] = (chain / "runs").glob(f"boss-*/{name}")
        name = str(folder.relative_to(chain / "runs"))
    written = Project(chain).report(name, tmp_path / "one.html")
    page = written.path.read_text()
    assert f"<h1>{title}</h1>" in page
    assert list(sections(page)) == names


def test_a_run_is_compared_with_the_rung_below(chain: Path, tmp_path: Path) -> None:
    [boss] = (chain / "runs").glob("boss-*")
    out = tmp_path / "one.html"
    written = write_report(Workspace.at(chain), str(boss / "fold1-seed0"), out)
    text = sections(out.read_text())["comparison"]
    assert "Against Strong, Boss " in text
    assert '<td>new</td><td class="number">18</td>' in text, "the utterances of its fold"
    assert written._repr_html_().startswith('<iframe title="hw4 report" sandbox="allow-scripts')


def test_a_name_that_is_nothing_is_refused_with_those_that_there_are(chain: Path) -> None:
    with pytest.raises(UsageError, match=r"no run, submission or study 'nothing'; there are boss-"):
        write_report(Workspace.at(chain), "nothing")


def test_a_damaged_run_is_named_and_the_rest_is_shown(chain: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(chain, tmp_path / "workspace"))
    [oof] = root.glob("runs/boss-*/fold1-seed0/oof.safetensors")
    oof.write_bytes(b"damaged")
    [manifest] = root.glob("runs/strong-*/fold0-seed0/run.json")
    manifest.write_text("{}")
    text = sections(write_report(Workspace.at(root)).path.read_text())["models"]
    assert "boss-" in text and "has changed: sha256" in text
    assert "not the manifest of a run" in text or "another version of hw4" in text
    assert "strong-" in text


def test_the_command_prints_the_path_the_size_and_the_next_command(
    chain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    with pytest.raises(SystemExit):
        main(["--workspace", str(chain), "report", "--out", str(out)])
    printed = capsys.readouterr()
    assert re.fullmatch(rf"{re.escape(str(out))}  0\.\d\d MB\n", printed.out)
    assert printed.err.startswith("next: hw4 leaderboard show")


def test_without_matplotlib_it_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kaggle_hw4.report.canvas.find_spec", lambda _: None)
    with pytest.raises(SystemExit) as end:
        main(["--workspace", str(tmp_path), "report"])
    assert end.value.code == 2
    expected = "the report's figures need matplotlib; pip install 'kaggle_hw4[report]'"
    assert capsys.readouterr().err == f"hw4: {expected}\n"
